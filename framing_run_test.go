package chanio_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// randomWire returns frames of f and, between some of them, bytes that are none.
func randomWire(random *rand.Rand, f chanio.Framing) (wire []byte) {
	const alphabet = "ab\r;\x00\x01\xff"
	for range random.IntN(8) {
		message := make([]byte, random.IntN(12))
		for i := range message {
			message[i] = alphabet[random.IntN(len(alphabet))]
		}
		wire, _ = f.AppendFrame(wire, message) // one that it refuses is left out
		if random.IntN(4) == 0 {
			wire = append(wire, "\r\n\x00\x03"[:random.IntN(5)]...)
		}
	}
	return wire[:len(wire)-random.IntN(len(wire)+1)/2]
}

func TestARunOfMessagesIsWhatScanFindsOneByOne(t *testing.T) {
	const tail = 8 // a run may leave a last message that is shorter
	random := rand.New(rand.NewPCG(1, 2))
	ran := map[string]bool{}
	for _, f := range framings() {
		t.Run(f.name, func(t *testing.T) {
			c := chanio.CodecOf(f.framing)
			_, lines := f.framing.(chanio.Lines)
			if p, ok := f.framing.(chanio.LengthPrefix); ok && p.Varint {
				return // it leaves all to scan
			}
			for range 5_000 {
				wire, most, limit := randomWire(random, f.framing), random.IntN(6), random.IntN(14)
				got, n, size, exact, ok := chanio.ScanRun(c, wire, most, random.IntN(1+max(0, bytes.IndexByte(wire, '\n'))), limit)
				if !ok {
					return
				}
				ran[f.name] = ran[f.name] || len(got) > 1
				var want [][]byte
				took, bytesOf, exactly := 0, 0, true
				for len(want) < most && took < len(wire) && (len(want) < len(got) || len(wire)-took >= tail || lines) {
					m, of, _, err := chanio.Scan(c, wire[took:], 0, limit)
					if err != nil || of == 0 {
						break
					}
					want = append(want, m)
					took += of
					bytesOf += len(m)
					exactly = exactly && chanio.Exact(c, m, of)
				}
				require.Equal(t, len(want), len(got), "%q, limit %d, most %d", wire, limit, most)
				for i := range want {
					require.Equal(t, string(want[i]), string(got[i]), "%q", wire)
				}
				require.Equal(t, took, n, "%q", wire)
				require.Equal(t, bytesOf, size, "%q", wire)
				require.Equal(t, exactly, exact, "%q", wire)
			}
		})
	}
	require.True(t, ran["lines"] && ran["length 2 little=true header=true"], "%v", ran)
}
