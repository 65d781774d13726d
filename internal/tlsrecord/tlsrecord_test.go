package tlsrecord

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// record returns a record that carries n bytes.
func record(n int) []byte {
	r := binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(n))
	for i := range n {
		r = append(r, byte(i*i>>3+n))
	}
	return r
}

// pour hands as much of stream to r as there is room for, and returns the rest.
func pour(r *Reader, stream []byte) []byte {
	n := copy(r.Space(), stream)
	r.Filled(n)
	return stream[n:]
}

func TestAReaderReturnsWholeRecordsHoweverTheyArrive(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var records [][]byte
		for range 1 + rng.IntN(20) {
			records = append(records, record(rng.IntN(1+rng.IntN(MaxLen-HeaderLen+1))))
		}
		stream := slices.Concat(records...)
		var r Reader
		p := make([]byte, 1+rng.IntN(MaxLen))
		for len(stream) > 0 {
			piece := stream[:min(len(stream), 1+rng.IntN(BlockLen))]
			stream = stream[len(piece):]
			for len(piece) > 0 {
				piece = pour(&r, piece)
				for r.Whole() {
					var got []byte
					for n := r.Read(p); ; n = r.Read(p) { // of one record
						got = append(got, p[:n]...)
						if len(got) >= len(records[0]) {
							break
						}
					}
					require.True(t, bytes.Equal(records[0], got))
					records = records[1:]
				}
				require.Zero(t, r.Read(p))
				r.Release()
				require.Nil(t, r.block)
				require.LessOrEqual(t, cap(r.held), len(r.held)+len(r.held)/4+64, "it holds the part, and no more")
			}
		}
		require.Empty(t, records)
		require.Equal(t, Reader{}, r)
	}
}

func TestAReaderKeepsItsBlockWhileThereIsAWholeRecord(t *testing.T) {
	var r Reader
	pour(&r, slices.Concat(record(10), record(20)))
	r.Release()
	p := make([]byte, MaxLen)
	require.Equal(t, HeaderLen+10, r.Read(p))
	require.True(t, r.Whole())
	require.Equal(t, record(20), p[:r.Read(p)])
	require.False(t, r.Whole())
	require.False(t, r.Part())
}

func TestTheHeaderOfATooLongRecordIsReturned(t *testing.T) {
	var r Reader
	pour(&r, []byte{23, 3, 3, 0xff, 0xff, 1, 2, 3})
	p := make([]byte, 100)
	require.Equal(t, HeaderLen, r.Read(p))
}

func TestAPartialRecordAtTheEndIsReturned(t *testing.T) {
	var r Reader
	pour(&r, record(100)[:50])
	require.True(t, r.Part())
	require.Zero(t, r.Read(make([]byte, 100)))
	r.End()
	require.Equal(t, 50, r.Read(make([]byte, 100)))
	require.False(t, r.Whole())
}

func TestAPlaceFindsWhereRecordsEnd(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var p Place
		for range 10 {
			stream := record(rng.IntN(1000))
			require.False(t, p.Inside())
			for i := 0; i < len(stream); {
				n := min(len(stream)-i, 1+rng.IntN(300))
				left := p.Left()
				require.Positive(t, left)
				require.LessOrEqual(t, left, len(stream)-i, "it goes past no record's end")
				i += n
				require.Equal(t, i == len(stream), p.Advance(stream[i-n:i]))
				require.Equal(t, i < len(stream), p.Inside())
			}
		}
		require.True(t, p.Advance(slices.Concat(record(3), record(0), record(4)[:6])))
		require.True(t, p.Inside())
	}
}

func FuzzReader(f *testing.F) {
	f.Add(record(3), uint16(2))
	f.Add(append(record(0), 1, 2, 3, 0xff, 0xff), uint16(1))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint16) {
		var r Reader
		p := make([]byte, int(piece)+1)
		var got []byte
		for rest := stream; len(rest) > 0; {
			n := min(len(rest), int(piece)+1)
			for part := rest[:n]; len(part) > 0; {
				part = pour(&r, part)
				for n := r.Read(p); n > 0; n = r.Read(p) {
					got = append(got, p[:n]...)
				}
				r.Release()
			}
			rest = rest[n:]
		}
		r.End()
		for n := r.Read(p); n > 0; n = r.Read(p) {
			got = append(got, p[:n]...)
		}
		require.True(t, bytes.Equal(stream, got), "all bytes, in order")
	})
}

func TestOnlyAGoThatWasTestedIsTrusted(t *testing.T) {
	for version, want := range map[string]bool{
		testedGo: true, testedGo + ".8": true, testedGo + "rc1": true, testedGo + "-custom": true,
		testedGo + "0": false, "go1.25.1": false, "devel go1.27-abc": false, "": false,
	} {
		require.Equal(t, want, tested(version), version)
	}
}

func TestOnlyEmptyBuffersAreDropped(t *testing.T) {
	tc := tls.Client(nil, nil)
	b := BuffersOf(tc)
	if !tested(runtime.Version()) {
		require.Equal(t, Buffers{}, b)
		b.Drop()
		return
	}
	b.records.WriteString("not decrypted")
	b.messages.WriteString("a message")
	require.Zero(t, b.Size())
	b.Drop()
	require.Equal(t, "not decrypted", string(b.records.Next(100)))
	require.Equal(t, "a message", string(b.messages.Next(100)))
	require.Positive(t, b.Size())
	b.Drop()
	require.Zero(t, b.Size())
}

func TestATallyCountsTheDataOfWholeRecords(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const overhead = 17
	for range 200 {
		tally := Tally{Overhead: overhead}
		var stream []byte
		ends := map[int]int{} // the data in the records up to there
		data := 0
		for range 1 + rng.IntN(20) {
			r := record(overhead + rng.IntN(1<<10))
			if rng.IntN(4) == 0 {
				r[0] = 21 // an alert
			} else {
				data += len(r) - HeaderLen - overhead
			}
			stream = append(stream, r...)
			ends[len(stream)] = data
		}
		want, at := 0, 0
		for rest := stream; len(rest) > 0; {
			n := min(len(rest), 1+rng.IntN(3<<10))
			tally.Advance(rest[:n])
			rest = rest[n:]
			before := want
			for ; at <= len(stream)-len(rest); at++ {
				if data, ok := ends[at]; ok {
					want = data
				}
			}
			require.Equal(t, want-before, tally.Take())
		}
		require.Equal(t, data, want)
	}
}
