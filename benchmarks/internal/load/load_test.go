package load

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnErrorOfAClientIsReported(t *testing.T) {
	c := bench.Config{Job: "multicast", Net: bench.TCP, Address: "127.0.0.1:0", Impl: "limit", Size: 7, Clients: 2}
	// A multicast server sends messages that no echo client has sent.
	s, err := server.Start(c)
	require.NoError(t, err)
	defer s.Close()
	r, err := Run(t.Context(), bench.Config{
		Job: "echo", Net: bench.TCP, Address: s.Addr, Client: "plain", Clients: 2, Messages: 1, Size: 32,
		Warmup: 200 * time.Millisecond, Length: 100 * time.Millisecond,
	}, nil)
	require.NoError(t, err)
	require.Equal(t, int64(2), r.Errors)
	require.Equal(t, "the echo differs from what was sent", r.FirstError)
}

func TestFlightReturnsMessagesInOrderWithTheirTimes(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	type landing struct {
		n    int
		sent time.Time
	}
	var landed []landing
	land := func(n int, sent time.Time) { landed = append(landed, landing{n, sent}) }

	var f flight
	f.push(3, at(1))
	f.push(2, at(2))
	f.pop(2, land)
	f.pop(2, land)
	require.Equal(t, []landing{{2, at(1)}, {1, at(1)}, {1, at(2)}}, landed)
	f.pop(100, land)
	require.Equal(t, landing{1, at(2)}, landed[3])
	require.Len(t, landed, 4, "what is not in flight does not land")

	landed = nil
	for i := range int64(100) { // through its memory more than once
		f.push(2, at(i))
		f.pop(int(1+i%3), land)
	}
	f.pop(200, land)
	sum, last := 0, at(0)
	for _, l := range landed {
		require.False(t, l.sent.Before(last))
		sum, last = sum+l.n, l.sent
	}
	require.Equal(t, 200, sum)
	require.Equal(t, at(99), last)
}

func TestSequenceCountsWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		name    string
		numbers []uint64
		lost    int64
	}{
		{"nothing", []uint64{5, 6, 7}, 0},
		{"some", []uint64{5, 8, 9}, 2},
		{"late, not lost", []uint64{5, 8, 7, 9}, 1},
		{"not numbered", []uint64{7, 7, 7, 7}, 0},
		{"not numbered, not all the same", []uint64{7, 7, 100, 7}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWindow(bench.Config{})
			w.open.Store(true)
			s := &sequence{window: w, tally: w.tally()}
			for _, n := range c.numbers {
				s.receive(binary.BigEndian.AppendUint64(nil, n))
			}
			require.Equal(t, c.lost, s.tally.lost.Load())
			require.Equal(t, int64(len(c.numbers)), s.tally.messages.Load())
		})
	}
}

func TestFramesAreCountedHoweverTheStreamIsCut(t *testing.T) {
	var stream []byte
	sizes := []int{0, 1, 125, 126, 1000, 1 << 16, 0, 5}
	for _, n := range sizes {
		stream = append(stream, ws.MustCompileFrame(ws.NewBinaryFrame(make([]byte, n)))...)
	}
	for _, cut := range []int{1, 2, 3, 7, 1000, len(stream)} {
		var f frameCounter
		n := 0
		for part := range slices.Chunk(stream, cut) {
			n += f.count(part)
		}
		require.Equal(t, len(sizes), n, cut)
	}
}
