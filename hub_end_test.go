package chanio_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestCloseOfAHubLeavesSessionsOpenAndWhatWasPublishedArrives(t *testing.T) {
	for _, end := range hubEnds {
		t.Run(end.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				h := chanio.NewHub(ctx, nil)
				events := h.Events()
				s, peer := joinMem(t, h, nil)
				require.False(t, isClosed(h.Done()))
				require.NoError(t, h.Err())
				require.NoError(t, h.Multicast([]byte("published ")))
				synctest.Wait()
				require.NoError(t, h.Multicast([]byte("before ")))
				all := make(chan []byte)
				go func() {
					time.Sleep(time.Second)
					got, _ := io.ReadAll(peer)
					all <- got
				}()
				err := end.end(t, h, cancel)
				<-h.Done()
				require.ErrorIs(t, h.Err(), err)
				if err == nil {
					require.NoError(t, h.Err())
				}
				synctest.Wait()
				require.Equal(t, []chanio.EventKind{chanio.EventStarted, chanio.EventJoined, chanio.EventLeft, chanio.EventStopped}, kinds(events))
				require.True(t, isClosed(events))

				require.ErrorIs(t, h.Multicast([]byte("x")), chanio.ErrClosed)
				require.ErrorIs(t, h.Join(s), chanio.ErrClosed)
				require.ErrorIs(t, h.Flush(t.Context()), chanio.ErrClosed)
				h.Leave(s)
				require.Zero(t, h.Len())
				require.NoError(t, h.Shutdown(t.Context()), "it waits for past members, too")
				require.Zero(t, h.Stats().BytesPending)
				require.NoError(t, h.Close())
				require.ErrorIs(t, h.Err(), err)

				require.NoError(t, s.Put([]byte("and sent after")))
				require.NoError(t, s.CloseWrite())
				require.Equal(t, "published before and sent after", string(<-all))
				cancel(nil)
			})
		})
	}
}

// hubEnds are the ways in which a hub can end. Each returns the hub's Err after
// it.
var hubEnds = []struct {
	name string
	end  func(t *testing.T, h *chanio.Hub, cancel context.CancelCauseFunc) error
}{
	{"Close", func(t *testing.T, h *chanio.Hub, _ context.CancelCauseFunc) error {
		require.NoError(t, h.Close())
		return nil
	}},
	{"Close, twice at once", func(t *testing.T, h *chanio.Hub, _ context.CancelCauseFunc) error {
		go h.Close()
		require.NoError(t, h.Close())
		return nil
	}},
	{"Close of one whose Send was used", func(t *testing.T, h *chanio.Hub, _ context.CancelCauseFunc) error {
		h.Send()
		require.NoError(t, h.Close())
		return nil
	}},
	{"Shutdown", func(t *testing.T, h *chanio.Hub, _ context.CancelCauseFunc) error {
		require.NoError(t, h.Shutdown(t.Context()))
		return nil
	}},
	{"the end of its context", func(_ *testing.T, _ *chanio.Hub, cancel context.CancelCauseFunc) error {
		cause := errors.New("cause")
		cancel(cause)
		return cause
	}},
}

func TestAHubUnderAContextThatHasEndedEndsWithItsCause(t *testing.T) {
	cause := errors.New("cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	for range 100 {
		h := chanio.NewHub(ctx, nil)
		awaitDone(t, h)
		require.Equal(t, cause, h.Err())
	}
}

func TestAHubOfBadOptionsHasEndedWithThatErr(t *testing.T) {
	h := chanio.NewHub(t.Context(), &chanio.Options{Lag: 17})
	require.True(t, isClosed(h.Done()))
	require.ErrorContains(t, h.Err(), "Lag")
	require.ErrorIs(t, h.Join(pipeSessions(t, 1, nil)[0]), chanio.ErrClosed)
	require.ErrorIs(t, h.Flush(t.Context()), chanio.ErrClosed)
	require.NoError(t, h.Close())
	require.True(t, isClosed(h.Events()))
}

func TestTheEndOfAnIdleHubLeavesNothingWithItsContext(t *testing.T) {
	ctx := &watchedContext{Context: t.Context()}
	h := chanio.NewHub(ctx, nil)
	require.Equal(t, 1, ctx.watching())
	require.NoError(t, h.Close())
	require.Zero(t, ctx.watching())
}

// TestHubsSessionsAndListenersEndInAnyOrder leaves it to TestMain to look for
// leaks.
func TestHubsSessionsAndListenersEndInAnyOrder(t *testing.T) {
	type world struct {
		l      *chanio.Listener
		room   *chanio.Hub
		s      *chanio.Session
		conn   net.Conn
		cancel context.CancelFunc
	}
	ends := []struct {
		name string
		end  func(w *world)
	}{
		{"room", func(w *world) { w.room.Close() }},
		{"hub", func(w *world) { w.l.Hub().Close() }},
		{"session", func(w *world) { w.s.Close() }},
		{"peer", func(w *world) { w.conn.Close() }},
		{"context", func(w *world) { w.cancel() }},
		{"listener", func(w *world) { w.l.Close() }},
	}
	for first := range ends {
		for second := range ends {
			if first == second {
				continue
			}
			t.Run(ends[first].name+" then "+ends[second].name, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", &chanio.Options{Lag: chanio.LagPolicy(first % 3), MaxLag: 1 << 16})
				require.NoError(t, err)
				conn, s := joinTCP(t, l)
				w := &world{l, chanio.NewHub(ctx, nil), s, conn, cancel}
				require.NoError(t, w.room.Join(s))
				var publishers sync.WaitGroup
				publishers.Go(func() {
					for i := 0; l.Multicast(message(i, 1000)) == nil && s.Err() == nil && w.room.Multicast([]byte("x")) == nil; i++ {
						if i > 1000 {
							select {
							case <-s.Done():
							case <-l.Done():
							}
						}
					}
				})
				go io.Copy(io.Discard, conn)
				ends[first].end(w)
				ends[second].end(w)
				for _, e := range ends {
					e.end(w)
				}
				publishers.Wait()
				awaitDone(t, s)
				awaitDone(t, l)
				awaitDone(t, l.Hub())
				awaitDone(t, w.room)
				require.Zero(t, w.room.Len())
				require.Zero(t, l.Hub().Len())
			})
		}
	}
}

func TestWhatIsStillInSendWhenAHubEndsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &chanio.Options{Lag: chanio.LagBlock, MaxLag: 1000, SendQueue: 10})
		events := h.Events()
		joinMem(t, h, &chanio.Options{WriteTimeout: -1}) // its peer does not read
		for i := range 8 {
			h.Send() <- message(i, 600)
			synctest.Wait()
		}
		published := h.Stats().MessagesReceived
		require.Less(t, published, int64(7), "some are in the channel")
		require.NoError(t, h.Close())
		var failed int64
		for e := range events {
			if e.Kind == chanio.EventFailed {
				require.ErrorIs(t, e.Err, chanio.ErrClosed)
				failed++
			}
		}
		require.EqualValues(t, 8, published+failed)
	})
}
