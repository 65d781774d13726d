package chanio_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/memory"
)

func TestAMemberMayBeExactlyMaxLagBehind(t *testing.T) {
	for _, lag := range lagPolicies {
		t.Run(lag.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := testHub(t, &chanio.Options{Lag: lag, MaxLag: 1000})
				s, peer := joinMem(t, h, &chanio.Options{WriteTimeout: -1})
				var want []byte
				publish := func(n int) {
					m := message(len(want), n)
					require.NoError(t, h.Multicast(m))
					want = append(want, m...)
				}
				publish(10)
				synctest.Wait() // it is in a write, so it does not lag
				publish(999)
				publish(1)
				publish(0)
				require.NoError(t, s.Err())
				require.Zero(t, h.Stats().MessagesDropped)
				all := readInto(peer)
				require.NoError(t, s.CloseWrite())
				require.Equal(t, want, <-all)
			})
		})
	}
}

func TestLagDisconnectEndsTheSessionThatIsMoreThanMaxLagBehind(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.Lag, o.MaxLag = chanio.LagDisconnect, 1000
		h := testHub(t, &o)
		events := h.Events()
		slow, _ := joinMem(t, h, nil)
		_, peer := joinMem(t, h, nil)
		healthy := readInto(peer)
		var want []byte
		for i := range 3 { // the first is in a write
			m := message(i, 501)
			want = append(want, m...)
			require.NoError(t, h.Multicast(m))
			synctest.Wait()
		}
		awaitDone(t, slow)
		require.ErrorIs(t, slow.Err(), chanio.ErrLagged)
		require.ErrorContains(t, slow.Err(), "chanio: ")
		require.Equal(t, 1, h.Len())
		for range h.All() {
		}
		require.EqualValues(t, 1002, slow.Stats().Undelivered, "what it had not taken, and what its last write had")
		require.EqualValues(t, 1002, h.Stats().Undelivered)
		require.NoError(t, h.Flush(t.Context()))
		require.NoError(t, h.Close())
		for s := range h.All() {
			t.Errorf("%v is a member of a closed hub", s.ID())
		}
		if o.EventQueue == 0 {
			require.Equal(t, []chanio.EventKind{chanio.EventStarted, chanio.EventJoined, chanio.EventJoined, chanio.EventLagged, chanio.EventLeft, chanio.EventLeft, chanio.EventStopped}, kinds(events))
		}
		peer.Close()
		require.Equal(t, want, <-healthy)
	})
}

func TestLagDropSkipsToTheNewestMessage(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.Lag, o.MaxLag = chanio.LagDrop, 1000
		h := testHub(t, &o)
		events := h.Events()
		s, peer := joinMem(t, h, &chanio.Options{WriteTimeout: -1})
		sent := func(i int) []byte { return message(i, 400) }
		for i := range 6 {
			require.NoError(t, h.Multicast(sent(i)))
			synctest.Wait()
		}
		// 0 is in a write. 1 and 2 were skipped when 3 came, 3 and 4 when 5 did.
		require.EqualValues(t, 4, s.Stats().MessagesDropped)
		require.EqualValues(t, 4, h.Stats().MessagesDropped)
		all := readInto(peer)
		require.NoError(t, h.Flush(t.Context()))
		require.NoError(t, s.Flush(t.Context()))
		require.NoError(t, s.CloseWrite())
		require.Equal(t, append(sent(0), sent(5)...), <-all)
		require.EqualValues(t, 800, h.Stats().BytesSent)
		require.Zero(t, h.Stats().BytesPending)
		require.Zero(t, h.Stats().Undelivered)
		if o.EventQueue == 0 {
			count := 0
			for range 4 {
				if e := <-events; e.Kind == chanio.EventLagged {
					require.NoError(t, e.Err)
					require.Equal(t, s, e.Session)
					count += e.Count
				}
			}
			require.Equal(t, 4, count)
		}
	})
}

func TestASessionTimeoutDuringLagDisconnectIsErrLagged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &chanio.Options{Lag: chanio.LagDisconnect})
		s, _ := joinMem(t, h, nil)
		report := h.Lag(s)
		s.WriteExpired() // before the hub ends it
		report()
		<-s.Done()
		require.ErrorIs(t, s.Err(), chanio.ErrLagged)
	})
}

func TestAPastMemberKeepsNothingPublishedLater(t *testing.T) {
	const maxLag, messages, size = 1 << 20, 512, 64 << 10
	for _, test := range []struct {
		name string
		lag  chanio.LagPolicy
		end  func(h *chanio.Hub, s *chanio.Session)
	}{
		{"a session that was ended because it lagged", chanio.LagDisconnect, func(_ *chanio.Hub, s *chanio.Session) {}},
		{"a session that was aborted", chanio.LagBlock, func(_ *chanio.Hub, s *chanio.Session) { s.Abort(nil) }},
		{"a session that has left, and whose peer does not read", chanio.LagBlock, func(h *chanio.Hub, s *chanio.Session) { h.Leave(s) }},
		{"a session that left and came back many times", chanio.LagDrop, func(h *chanio.Hub, s *chanio.Session) {
			for range 10 {
				h.Leave(s)
				h.Join(s)
			}
			h.Leave(s)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := testHub(t, &chanio.Options{Lag: test.lag, MaxLag: maxLag})
			s := pipeSessions(t, 1, &chanio.Options{WriteTimeout: -1})[0]
			conn, peer := net.Pipe()
			healthy := chanio.NewSession(context.Background(), conn, nil)
			defer func() { healthy.Abort(nil); <-healthy.Done() }()
			require.NoError(t, h.Join(s))
			require.NoError(t, h.Join(healthy))
			before := memory.Live()
			m := make([]byte, size)
			for i := range messages {
				if i == 8 {
					test.end(h, s)
				}
				require.NoError(t, h.Multicast(m))
				if i >= 4 { // it is never so healthy that the log is empty
					_, err := io.ReadFull(peer, m)
					require.NoError(t, err)
				}
			}
			require.Less(t, memory.Live()-before, int64(4<<20))
			runtime.KeepAlive(s)
		})
	}
}

func TestASessionsFlushIsNotHeldUpByWhatItsHubSkipped(t *testing.T) {
	for _, left := range []bool{false, true} {
		name := "a member"
		if left {
			name = "one that has left"
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := testHub(t, &chanio.Options{Lag: chanio.LagDrop, MaxLag: 1000})
				s, peer := joinMem(t, h, nil)
				_, other := joinMem(t, h, nil)
				go io.Copy(io.Discard, other)
				require.NoError(t, s.Put([]byte("own"))) // this holds its writer
				synctest.Wait()
				require.NoError(t, h.Multicast(message(0, 600)))
				if left {
					h.Leave(s)
				}
				require.NoError(t, h.Multicast(message(1, 600)))
				synctest.Wait()
				dropped := int64(1)
				if left { // what is published after it left does not count against it
					dropped = 0
				}
				require.Equal(t, dropped, s.Stats().MessagesDropped)
				flushed := make(chan error, 2)
				go func() { flushed <- s.Flush(t.Context()) }()
				go func() { flushed <- h.Flush(t.Context()) }()
				synctest.Wait()
				all := readInto(peer)
				require.NoError(t, <-flushed)
				require.NoError(t, <-flushed)
				require.NoError(t, s.CloseWrite())
				want := []byte("own")
				if left {
					want = append(want, message(0, 600)...)
				} else {
					want = append(want, message(1, 600)...)
				}
				require.Equal(t, want, <-all)
			})
		})
	}
}

func TestPublishingWithLagDropNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &chanio.Options{Lag: chanio.LagDrop, MaxLag: 1000})
		for range 10 {
			joinMem(t, h, &chanio.Options{WriteTimeout: -1})
		}
		began := time.Now()
		for i := range 10_000 {
			require.NoError(t, h.Multicast(message(i, 100)))
		}
		require.Zero(t, time.Since(began)) // else the bubble would report a deadlock
	})
}

func TestALateMemberIsTreatedOnceAPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &chanio.Options{Lag: chanio.LagDrop, MaxLag: 1000, EventQueue: 1000})
		events := h.Events()
		for range 5 {
			joinMem(t, h, &chanio.Options{WriteTimeout: -1})
		}
		require.NoError(t, h.Multicast(message(0, 1000)))
		synctest.Wait()
		require.NoError(t, h.Multicast(message(1, 1000)))
		kinds(events)
		require.NoError(t, h.Multicast(message(2, 1000)))
		require.Equal(t, []chanio.EventKind{chanio.EventLagged, chanio.EventLagged, chanio.EventLagged, chanio.EventLagged, chanio.EventLagged}, kinds(events))
		require.EqualValues(t, 5, h.Stats().MessagesDropped)
	})
}

func TestBytesOfAMemberThatEndsAreSentOrUndelivered(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(h *chanio.Hub, s *chanio.Session, peer net.Conn)
	}{
		{"Abort", func(_ *chanio.Hub, s *chanio.Session, _ net.Conn) { s.Abort(nil) }},
		{"the peer's death", func(_ *chanio.Hub, _ *chanio.Session, peer net.Conn) { peer.Close() }},
		{"lagging", func(h *chanio.Hub, s *chanio.Session, _ net.Conn) {
			for s.Err() == nil {
				h.Multicast(message(0, 300))
			}
		}},
		{"Close", func(_ *chanio.Hub, s *chanio.Session, peer net.Conn) { go io.Copy(io.Discard, peer); s.Close() }},
		{"Close of one whose peer does not read", func(_ *chanio.Hub, s *chanio.Session, peer net.Conn) { s.Close() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := testHub(t, &chanio.Options{MaxLag: 1000})
				s, peer := joinMem(t, h, nil)
				for i := range 4 {
					require.NoError(t, h.Multicast(message(i, 300)))
					synctest.Wait()
				}
				test.end(h, s, peer)
				<-s.Done()
				st := h.Stats()
				require.Equal(t, st.BytesReceived, st.BytesSent+st.Undelivered)
				require.Zero(t, st.BytesPending)
				own := s.Stats()
				require.Equal(t, st.BytesReceived, own.BytesSent+own.Undelivered)
				if own.Undelivered > 0 {
					require.ErrorIs(t, s.Flush(t.Context()), chanio.ErrClosed)
				}
			})
		})
	}
}

func TestNoByteIsCountedTwiceWhenAMemberEndsBesideItsWriter(t *testing.T) {
	for range 50 {
		h := testHub(t, &chanio.Options{Lag: chanio.LagBlock})
		conn, peer := net.Pipe()
		s := chanio.NewSession(t.Context(), conn, nil)
		require.NoError(t, h.Join(s))
		var publisher sync.WaitGroup
		publisher.Go(func() {
			for i := 0; s.Err() == nil; i++ {
				h.Multicast(message(i, i%3000))
			}
		})
		_, err := io.CopyN(io.Discard, peer, 1<<16)
		require.NoError(t, err)
		s.Abort(nil)
		publisher.Wait()
		peer.Close()
		awaitDone(t, s)
		st := h.Stats()
		require.Equal(t, st.BytesReceived, st.BytesSent+st.Undelivered)
	}
}

func TestAMemberThatHasCaughtUpSkipsNothingAndNothingIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &chanio.Options{Lag: chanio.LagDrop})
		events := h.Events()
		s, _ := joinMem(t, h, nil)
		h.Lag(s)() // a publisher saw it lag, and then it took everything
		require.Equal(t, []chanio.EventKind{chanio.EventStarted, chanio.EventJoined}, kinds(events))
		require.Zero(t, h.Stats().MessagesDropped)
	})
}
