package chanio_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/memory"
)

func TestStalledMembersHoldAWriteEachAndNoMore(t *testing.T) {
	const members, maxLag, size = 100, 1 << 20, 1 << 10
	h := testHub(t, &chanio.Options{Lag: chanio.LagDrop, MaxLag: maxLag, EventQueue: -1})
	m := make([]byte, size)
	publish := func(n int) {
		for range n {
			require.NoError(t, h.Multicast(m))
		}
	}
	before := memory.Live()
	for _, s := range pipeSessions(t, members, &chanio.Options{WriteTimeout: -1}) {
		require.NoError(t, h.Join(s)) // each stalls at another place
		publish(200)
	}
	publish(10 * maxLag / size)
	grown := memory.Live() - before
	t.Logf("%d KiB a member", grown/members>>10)
	const write = 3 * chanio.BlockSize // a chunk, one more message that still fit, and the session itself
	require.Less(t, grown, int64(maxLag+chanio.BlockSize+members*write))
}

// A pace keeps a publisher at most ahead bytes ahead of the slowest of its
// readers.
type pace struct {
	mu    sync.Mutex
	moved *sync.Cond
	read  []int64
}

func newPace(readers int) *pace {
	p := &pace{read: make([]int64, readers)}
	p.moved = sync.NewCond(&p.mu)
	return p
}

func (p *pace) add(i, n int) {
	p.mu.Lock()
	p.read[i] += int64(n)
	p.mu.Unlock()
	p.moved.Signal()
}

func (p *pace) await(sent, ahead int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		slowest := sent
		for _, n := range p.read {
			slowest = min(slowest, n)
		}
		if sent-slowest <= ahead {
			return
		}
		p.moved.Wait()
	}
}

// TestAStalledMemberCostsTheOthersNothing publishes 256 MiB to ten healthy
// members and one whose peer does not read, over real sockets.
func TestAStalledMemberCostsTheOthersNothing(t *testing.T) {
	const healthy, maxLag, size = 10, 1 << 20, 16 << 10
	total := int64(256 << 20)
	if testing.Short() || raceEnabled {
		total = 32 << 20
	}
	messages := int(total / size)
	for _, lag := range lagPolicies {
		t.Run(lag.String(), func(t *testing.T) {
			o := &chanio.Options{Lag: lag, MaxLag: maxLag, WriteTimeout: -1, EventQueue: 1 << 16}
			if lag == chanio.LagBlock {
				o.WriteTimeout = 5 * time.Second // a healthy reader may get no CPU for a while
			}
			l := listenTCP(t, o)
			stalledConn, stalled := joinTCP(t, l)
			pace := newPace(healthy)
			var readers sync.WaitGroup
			for i := range healthy {
				conn, _ := joinTCP(t, l)
				readers.Go(func() {
					defer pace.add(i, math.MaxInt/2) // the publisher waits no more for one that has failed
					buf := make([]byte, size)
					for seq := range messages {
						if _, err := io.ReadFull(conn, buf); err != nil {
							t.Errorf("healthy member %d at message %d: %v", i, seq, err)
							return
						}
						if seqOf(t, buf) != seq {
							t.Errorf("healthy member %d: message %d came as %d", i, seqOf(t, buf), seq)
							return
						}
						pace.add(i, size)
					}
				})
			}
			var grown int64
			base := memory.Live()
			for seq := range messages {
				require.NoError(t, l.Multicast(numbered(seq, size)))
				pace.await(int64(seq+1)*size, maxLag/2)
				if seq%64 == 0 {
					grown = max(grown, memory.Live()-base)
				}
			}
			readers.Wait()
			t.Logf("the heap grew by %d KiB", grown>>10)
			require.Less(t, grown, int64(16<<20))
			if lag == chanio.LagDrop {
				requireOnlyLaggedIsMissing(t, l, stalledConn, stalled, messages, size)
				return
			}
			awaitDone(t, stalled)
			// If publishing takes long, its WriteTimeout expires before it lags.
			if err := stalled.Err(); lag != chanio.LagBlock || !errors.Is(err, os.ErrDeadlineExceeded) {
				require.ErrorIs(t, err, chanio.ErrLagged)
			}
			require.Equal(t, healthy, l.Hub().Len())
		})
	}
}

// requireOnlyLaggedIsMissing reads what a member that skipped messages got.
func requireOnlyLaggedIsMissing(t *testing.T, l *chanio.Listener, conn net.Conn, s *chanio.Session, messages, size int) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	var got, last int
	all := readInto(conn)
	require.NoError(t, s.CloseWrite())
	rest := <-all
	require.Zero(t, len(rest)%size, "half a message")
	last = -1
	for ; len(rest) > 0; rest = rest[size:] {
		seq := seqOf(t, rest[:size])
		require.Greater(t, seq, last)
		last = seq
		got++
	}
	require.Equal(t, messages-1, last, "the newest is never dropped")
	require.NoError(t, l.Hub().Close())
	lagged := 0
	for e := range l.Hub().Events() {
		if e.Kind == chanio.EventLagged {
			require.Equal(t, s, e.Session)
			lagged += e.Count
		}
	}
	require.Positive(t, lagged)
	require.Equal(t, messages-got, lagged)
	require.EqualValues(t, lagged, s.Stats().MessagesDropped)
	require.EqualValues(t, lagged, l.Hub().Stats().MessagesDropped)
}

// numbered returns message seq: its number, repeated to size bytes.
func numbered(seq, size int) []byte {
	return bytes.Repeat([]byte{byte(seq >> 24), byte(seq >> 16), byte(seq >> 8), byte(seq)}, size/4)
}

// seqOf returns the number of a message, which must be whole.
func seqOf(t *testing.T, m []byte) int {
	seq := int(m[0])<<24 | int(m[1])<<16 | int(m[2])<<8 | int(m[3])
	if !bytes.Equal(m, numbered(seq, len(m))) {
		t.Errorf("message %d is damaged", seq)
	}
	return seq
}
