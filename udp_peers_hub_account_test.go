package chanio_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/memory"
)

// stuckMember returns a dialed udp session whose socket takes nothing until the
// test does. It is a member of a hub with o's MaxLag and Lag, and already in a
// write of the hub's first message, "first".
func stuckMember(t *testing.T, o *chanio.Options) (*memSocket, *chanio.Session, *chanio.Hub) {
	t.Helper()
	m, s := memDialed(t, context.Background(), &chanio.Options{WriteTimeout: -1})
	h := testHub(t, o)
	require.NoError(t, h.Join(s))
	require.NoError(t, h.Multicast([]byte("first")))
	synctest.Wait()
	return m, s, h
}

func TestAUDPSessionTakesABoundedBatchOfAHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s, h := stuckMember(t, nil)
		const n = 10 * chanio.MaxPackets
		for range n {
			require.NoError(t, h.Multicast([]byte("x")))
		}
		require.Equal(t, "first", string((<-m.out).Data))
		for range n {
			synctest.Wait()
			require.LessOrEqual(t, s.Parts(), chanio.MaxPackets)
			require.EqualValues(t, s.Parts(), s.Stats().BytesPending, "a byte each")
			require.Equal(t, "x", string((<-m.out).Data))
		}
		require.NoError(t, h.Flush(t.Context()))
		require.EqualValues(t, n+len("first"), h.Stats().BytesSent)
		require.Zero(t, h.Stats().BytesPending)
	})
}

func TestEmptyDatagramsCountForMaxLag(t *testing.T) {
	const n = 1000
	publish := func(t *testing.T, h *chanio.Hub) {
		for range n {
			if err := h.Multicast(nil); err != nil {
				t.Error(err)
			}
		}
	}
	t.Run("LagDisconnect", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, s, h := stuckMember(t, &chanio.Options{MaxLag: 1000})
			publish(t, h)
			<-s.Done()
			require.ErrorIs(t, s.Err(), chanio.ErrLagged)
			require.ErrorIs(t, s.Flush(t.Context()), chanio.ErrClosed)
		})
	})
	t.Run("LagDrop", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, s, h := stuckMember(t, &chanio.Options{Lag: chanio.LagDrop, MaxLag: 1000})
			publish(t, h)
			require.Positive(t, h.Stats().MessagesDropped)
			require.Equal(t, h.Stats().MessagesDropped, s.Stats().MessagesDropped)
			for range 1 + n - h.Stats().MessagesDropped {
				<-m.out
			}
			require.NoError(t, h.Flush(t.Context()))
			require.EqualValues(t, 1+n-h.Stats().MessagesDropped, h.Stats().MessagesSent)
		})
	})
	t.Run("LagBlock", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, s, h := stuckMember(t, &chanio.Options{Lag: chanio.LagBlock, MaxLag: 1000})
			published := make(chan struct{})
			go func() {
				defer close(published)
				publish(t, h)
			}()
			synctest.Wait()
			require.False(t, isClosed(published))
			for range 1 + n {
				<-m.out
			}
			<-published
			require.NoError(t, h.Flush(t.Context()))
			require.NoError(t, s.Err())
		})
	})
}

func TestAHubHoldsMaxLagOfEmptyDatagrams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, h := stuckMember(t, &chanio.Options{Lag: chanio.LagDrop, MaxLag: 64 << 10})
		before := memory.Live()
		for range 2_000_000 {
			h.Multicast(nil)
		}
		require.Less(t, memory.Live()-before, int64(2<<20))
		require.NoError(t, s.Err())
	})
}

func TestFlushWaitsForAHubsEmptyDatagrams(t *testing.T) {
	for _, test := range []struct {
		name  string
		flush func(ctx context.Context, h *chanio.Hub, s *chanio.Session) error
	}{
		{"the hub's", func(ctx context.Context, h *chanio.Hub, _ *chanio.Session) error { return h.Flush(ctx) }},
		{"the session's", func(ctx context.Context, _ *chanio.Hub, s *chanio.Session) error { return s.Flush(ctx) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, s, h := stuckMember(t, nil)
				require.NoError(t, h.Multicast(nil))
				flushed := make(chan error, 1)
				go func() { flushed <- test.flush(t.Context(), h, s) }()
				require.Equal(t, "first", string((<-m.out).Data))
				synctest.Wait()
				require.Empty(t, flushed)
				require.Empty(t, (<-m.out).Data)
				require.NoError(t, <-flushed)
			})
		})
	}
}

func TestFlushReportsALostEmptyDatagram(t *testing.T) {
	for _, test := range []struct {
		name string
		send func(t *testing.T, s *chanio.Session)
	}{
		{"in a write", func(t *testing.T, s *chanio.Session) { require.NoError(t, s.Put(nil)) }},
		{"in a write and in Send", func(t *testing.T, s *chanio.Session) {
			for range 3 {
				require.NoError(t, s.Put(nil))
				synctest.Wait()
			}
		}},
		{"a hub's", func(t *testing.T, s *chanio.Session) {
			h := testHub(t, nil)
			require.NoError(t, h.Join(s))
			require.NoError(t, h.Multicast(nil))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, s := memDialed(t, context.Background(), nil)
				test.send(t, s)
				synctest.Wait()
				require.NoError(t, s.Err())
				s.Abort(nil)
				<-s.Done()
				require.ErrorIs(t, s.Flush(t.Context()), chanio.ErrClosed)
				require.Zero(t, s.Stats().Undelivered, "bytes")
			})
		})
	}
	t.Run("of a PacketConn", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, p := memPacketConn(t, t.Context(), nil)
			require.NoError(t, p.Put(chanio.Packet{Addr: somePeer}))
			synctest.Wait()
			p.Abort(nil)
			<-p.Done()
			require.ErrorIs(t, p.Flush(t.Context()), chanio.ErrClosed)
		})
	})
}

func TestBytesSentByAnAbortedUDPSessionAreCounted(t *testing.T) {
	for _, test := range []struct {
		name string
		send func(t *testing.T, s *chanio.Session, h *chanio.Hub, i int)
		hub  int64 // how many messages were the hub's
	}{
		{"its own", func(t *testing.T, s *chanio.Session, _ *chanio.Hub, i int) {
			require.NoError(t, s.Put(message(i, 10)))
		}, 0},
		{"its hub's", func(t *testing.T, _ *chanio.Session, h *chanio.Hub, i int) {
			require.NoError(t, h.Multicast(message(i, 10)))
		}, 3},
		{"both", func(t *testing.T, s *chanio.Session, h *chanio.Hub, i int) {
			if i < 2 { // these go out first
				require.NoError(t, s.Put(message(i, 10)))
			} else {
				require.NoError(t, h.Multicast(message(i, 10)))
			}
		}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, s, h := stuckMember(t, nil)
				const n, sent = 5, 3
				for i := range n {
					test.send(t, s, h, i)
				}
				<-m.out // "first"
				for i := range sent {
					require.Equal(t, message(i, 10), (<-m.out).Data)
				}
				synctest.Wait() // the next one is in a write
				require.EqualValues(t, 10*n, s.Stats().BytesPending)
				s.Abort(nil)
				<-s.Done()
				st := s.Stats()
				require.EqualValues(t, 1+sent, st.MessagesSent)
				require.EqualValues(t, len("first")+10*sent, st.BytesSent)
				require.EqualValues(t, 10*(n-sent), st.Undelivered)
				require.Zero(t, st.BytesPending)
				st = h.Stats()
				require.EqualValues(t, 1+test.hub, st.MessagesSent)
				require.EqualValues(t, len("first")+10*int(test.hub), st.BytesSent)
				require.EqualValues(t, st.BytesReceived, st.BytesSent+st.Undelivered)
				require.Zero(t, st.BytesPending)
			})
		})
	}
}
