package chanio_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// settledContext is a context that ends when everything else has settled since
// somebody began to wait for its end.
type settledContext struct{ context.Context }

func (c settledContext) Done() <-chan struct{} {
	synctest.Wait()
	return c.Context.Done()
}

// requireLossIsTold requires that of two Flushes after a datagram was lost, the
// first of which may end with its context, one reports that.
func requireLossIsTold(t *testing.T, flush func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := flush(settledContext{ctx})
	require.Error(t, err)
	if err == context.Canceled {
		require.Error(t, flush(t.Context()), "the first one has not reported the loss")
	}
	require.NoError(t, flush(t.Context()), "once")
}

// The choice between an answer and the end of a context is random.
const chances = 30

func TestAFlushThatEndsWithItsContextTakesNoLossWithIt(t *testing.T) {
	t.Run("Session", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, l := memPeers(t, t.Context(), nil)
			s := m.session(1, l)
			for range chances {
				s.Send() <- make([]byte, 1<<16) // larger than a datagram
				requireLossIsTold(t, s.Flush)
			}
		})
	})
	t.Run("PacketConn", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, p := memPacketConn(t, t.Context(), nil)
			for range chances {
				p.Send() <- chanio.Packet{} // without an address
				requireLossIsTold(t, p.Flush)
			}
		})
	})
	t.Run("PacketConn whose writer is late", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, p := memPacketConn(t, t.Context(), &chanio.Options{WriteTimeout: -1})
			for range chances {
				for range 2 {
					require.NoError(t, p.Put(chanio.Packet{Addr: somePeer, Data: []byte("it waits")}))
					synctest.Wait()
				}
				p.Send() <- chanio.Packet{}
				ctx, cancel := context.WithCancel(t.Context())
				flushed := make(chan error)
				go func() { flushed <- p.Flush(ctx) }()
				synctest.Wait()
				<-m.out // and the writer may see the Flush before it writes the next one
				synctest.Wait()
				cancel()
				require.ErrorIs(t, <-flushed, context.Canceled)
				<-m.out
				require.ErrorContains(t, p.Flush(t.Context()), "no address")
			}
		})
	})
}
