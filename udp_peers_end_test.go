package chanio_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/datagram"
)

func TestCloseOfAUDPListenerEndsAllPeersAtOnce(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		m, l := memPeers(t, t.Context(), &o)
		delivered := m.session(1, l)
		m.from(2, "hello") // it is not received
		all := slices.Collect(l.All())
		require.Len(t, all, 2)
		start := time.Now()
		require.NoError(t, l.Close())
		require.Zero(t, since(start))
		for _, s := range all {
			require.True(t, isClosed(s.Done()))
			require.ErrorIs(t, s.Err(), chanio.ErrClosed)
		}
		require.Equal(t, "hello", string(<-delivered.Recv()))
		require.True(t, isClosed(delivered.Recv()))
		require.NoError(t, l.Err())
		require.True(t, isClosed(l.Sessions()))
		require.True(t, isClosed(m.closed))
		require.NoError(t, l.Close(), "again")
	})
}

func TestTheEndOfTheContextEndsAUDPListener(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		why := errors.New("the show is over")
		ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), &why, "a value"))
		m, l := memPeers(t, ctx, &o)
		s := m.session(1, l)
		sctx := s.Context()
		require.Equal(t, "a value", sctx.Value(&why))
		m.from(2, "hello")
		all := slices.Collect(l.All())
		cancel(why)
		<-l.Done()
		require.ErrorIs(t, l.Err(), why)
		for _, s := range all {
			require.ErrorIs(t, s.Err(), why)
		}
		require.ErrorIs(t, context.Cause(sctx), why)
		require.True(t, isClosed(m.closed))
	})
}

func TestWritersThatWaitDoNotKeepAUDPListenerFromEnding(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(l *chanio.Listener, cancel context.CancelFunc)
	}{
		{"Close", func(l *chanio.Listener, _ context.CancelFunc) { l.Close() }},
		{"context", func(l *chanio.Listener, cancel context.CancelFunc) { cancel(); <-l.Done() }},
		{"Shutdown that is given up", func(l *chanio.Listener, _ context.CancelFunc) {
			ended, cancel := context.WithCancel(context.Background())
			cancel()
			l.Shutdown(ended)
		}},
		{"sessions that ended before", func(l *chanio.Listener, _ context.CancelFunc) {
			for s := range l.All() {
				s.Abort(nil)
			}
			l.Close()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				m, l := memPeers(t, ctx, &chanio.Options{WriteTimeout: time.Hour, SendQueue: 5})
				var all []*chanio.Session
				for i := range 3 {
					s := m.session(i, l)
					for range 5 {
						require.NoError(t, s.Put([]byte("nobody takes this")))
					}
					all = append(all, s)
				}
				synctest.Wait()
				start := time.Now()
				c.end(l, cancel)
				require.Zero(t, since(start))
				for _, s := range all {
					require.EqualValues(t, 5*len("nobody takes this"), s.Stats().Undelivered)
				}
			})
		})
	}
}

func TestAnAbortedPeerWaitsForOneWriteAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := memPeers(t, t.Context(), nil)
		s, other := m.session(1, l), m.session(2, l)
		for range 5 {
			require.NoError(t, s.Put([]byte("nobody takes this")))
		}
		synctest.Wait()
		start := time.Now()
		s.Abort(nil)
		<-s.Done()
		require.LessOrEqual(t, since(start), 10*time.Second)
		require.EqualValues(t, 5*len("nobody takes this"), s.Stats().Undelivered)
		m.answer(t, other)
	})
}

func TestADatagramThatTheKernelRejectsFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := memPeers(t, t.Context(), nil)
		s := m.session(1, l)
		events := l.Events()
		start := time.Now()
		require.NoError(t, s.Put([]byte("nobody takes this")))
		e := tlsEvent(t, events, chanio.EventFailed)
		require.Equal(t, 10*time.Second, since(start), "WriteTimeout")
		requireTimeout(t, e.Err)
		require.Same(t, s, e.Session)
		m.answer(t, s)
		require.Equal(t, e.Err, s.Close())
		st := s.Stats()
		require.EqualValues(t, 1, st.MessagesSent)
		require.EqualValues(t, 1, st.MessagesDropped)
		require.EqualValues(t, len("answer"), st.BytesSent)
		require.EqualValues(t, len("nobody takes this"), st.Undelivered)
	})
}

func TestShutdownOfAUDPListenerLetsHandlersAnswer(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		m, l := memPeers(t, t.Context(), &o)
		s := m.session(1, l)
		m.from(2, "hello") // it is not received
		var lost *chanio.Session
		for other := range l.All() {
			if other != s {
				lost = other
			}
		}
		ended := make(chan error, 1)
		start := time.Now()
		go func() { ended <- l.Shutdown(t.Context()) }()
		synctest.Wait()
		require.ErrorIs(t, lost.Err(), chanio.ErrClosed)
		require.Equal(t, "hello", string(<-s.Recv()))
		require.True(t, isClosed(s.Recv()))
		require.NoError(t, s.Err())
		time.Sleep(4 * time.Second)
		for range 3 {
			m.answer(t, s)
		}
		require.True(t, isClosed(l.Sessions()))
		require.NoError(t, s.Close())
		require.NoError(t, <-ended)
		require.Equal(t, 4*time.Second, since(start))
		require.NoError(t, l.Err())
		require.NoError(t, s.Err())
	})
}

func TestShutdownOfAUDPListenerClosesForgottenSessions(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		m, l := memPeers(t, t.Context(), &o)
		s := m.session(1, l)
		start := time.Now()
		require.NoError(t, l.Shutdown(t.Context()))
		require.Equal(t, 5*time.Second, since(start), "CloseTimeout")
		require.NoError(t, s.Err())
	})
}

func TestShutdownOfAUDPListenerWhoseContextEndsAbortsTheRest(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		m, l := memPeers(t, t.Context(), &o)
		s := m.session(1, l)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, l.Shutdown(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Second, since(start))
		require.ErrorIs(t, s.Err(), chanio.ErrClosed)
	})
}

func TestDisconnectAllEndsThePeersAndNotTheListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := memPeers(t, t.Context(), nil)
		for i := range 10 {
			m.from(i, "hello")
		}
		all := slices.Collect(l.All())
		require.Len(t, all, 10)
		l.DisconnectAll()
		for _, s := range all {
			require.True(t, isClosed(s.Done()))
			require.ErrorIs(t, s.Err(), chanio.ErrClosed)
		}
		require.Zero(t, l.Len())
		for range all { // they are delivered, with what they received
			require.Equal(t, "hello", string(<-(<-l.Sessions()).Recv()))
		}
		m.answer(t, m.session(100, l))
	})
}

func TestASocketThatFailsEndsTheListenerWithThatErr(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		m, l := memPeers(t, t.Context(), &o)
		s := m.session(1, l)
		m.from(2, "hello") // it is not received
		why := errors.New("the socket broke")
		m.fail <- why
		<-l.Done()
		require.ErrorIs(t, l.Err(), why)
		require.ErrorContains(t, l.Err(), "chanio: read udp")
		require.ErrorIs(t, s.Err(), chanio.ErrClosed)
		require.True(t, isClosed(l.Sessions()))
	})
}

func TestASessionThatAnotherOneBeginsWhileItsListenerEndsIsAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger := heldLog{new(atomic.Bool), make(chan struct{})}
		m, l := memPeers(t, t.Context(), &chanio.Options{Logger: slog.New(logger)})
		s := m.session(1, l)
		<-s.Recv()
		m.from(1, "for the next one")
		logger.held.Store(true)
		go s.Close()
		synctest.Wait() // the next session is not queued yet: the Logger hears of it first
		closed := make(chan error, 1)
		go func() { closed <- l.Close() }()
		synctest.Wait()
		require.True(t, isClosed(l.Sessions()))
		close(logger.release)
		require.NoError(t, <-closed)
		require.EqualValues(t, 2, l.Stats().Accepted)
	})
}

func TestAPeersEventsAreInOrderHoweverItEnds(t *testing.T) {
	l := listenUDP(t, &chanio.Options{EventQueue: 100_000, IdleTimeout: time.Millisecond, MaxSessions: 3, CloseTimeout: -1})
	events := l.Events()
	handled := serveEach(l, func(s *chanio.Session) { s.Close() })
	var others sync.WaitGroup
	stop := make(chan struct{})
	more := func() bool { return !isClosed(stop) && l.Stats().Accepted < 20_000 } // all events are kept
	for range 4 {
		conn := connectTo(t, l)
		others.Go(func() {
			for more() {
				if _, err := conn.Write([]byte("hello")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	others.Go(func() {
		for more() {
			l.DisconnectAll()
			for s := range l.All() {
				s.Put([]byte("before anybody received it"))
				s.Abort(nil)
			}
		}
	})
	time.AfterFunc(time.Second, func() { close(stop) })
	others.Wait()
	require.NoError(t, l.Close())
	await(t, handled, "the handlers")
	connected, gone := 0, make(map[chanio.ID]bool)
	for e := range events {
		switch e.Kind {
		case chanio.EventConnected:
			connected++
			require.False(t, gone[e.Session.ID()], "Disconnected came before Connected")
		case chanio.EventDisconnected:
			require.False(t, gone[e.Session.ID()])
			gone[e.Session.ID()] = true
		}
	}
	require.Len(t, gone, connected)
	require.EqualValues(t, connected, l.Stats().Accepted)
	require.Zero(t, l.Known())
	t.Logf("%d sessions", connected)
}

func TestCountersOfPeersAreExact(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			l := listenUDP(t, &q.o)
			handled := serveEach(l, sendBack)
			var asked int64
			for i := range 3 {
				conn := connectTo(t, l)
				for k := range 10 {
					question := fmt.Sprint(i, " ", k)
					require.Equal(t, question, ask(t, conn, question))
					asked += int64(len(question))
				}
			}
			for s := range l.All() {
				st := s.Stats()
				require.EqualValues(t, 1, st.Sessions)
				require.EqualValues(t, 10, st.MessagesReceived)
				require.NoError(t, s.Close())
				st = s.Stats()
				require.Zero(t, st.Sessions)
				require.EqualValues(t, 10, st.MessagesSent)
				require.Equal(t, st.BytesReceived, st.BytesSent)
			}
			st := l.Stats()
			require.Equal(t, chanio.Stats{
				Accepted:         3,
				BytesReceived:    asked,
				BytesSent:        asked,
				MessagesReceived: 30,
				MessagesSent:     30,
				EventsDropped:    st.EventsDropped,
			}, st)
			require.NoError(t, l.Close())
			await(t, handled, "the handlers")
		})
	}
}

func TestADatagramWithoutRoomIsCountedBeforeItsSessionCanEnd(t *testing.T) {
	for _, batched := range []bool{false, true} {
		l := listenUDP(t, nil)
		s := l.NewPeer(t.Context(), peerAddress(1))
		if batched {
			s.RecvBatch()
		}
		run := make([]datagram.Packet, 4)
		for i := range run {
			run[i].Data = make([]byte, 30<<10)
		}
		require.Equal(t, chanio.RecvFull, s.PutRun(run, false), "two fit")
		require.Zero(t, s.Stats().MessagesDropped, "its receiver may come")
		require.Equal(t, chanio.RecvStalled, s.PutRun(run[2:], true))
		require.EqualValues(t, 2, s.Stats().MessagesDropped)
	}
}

func TestASessionIsNotDoneBeforeTheNextOneHasWhatItLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger := heldLog{new(atomic.Bool), make(chan struct{})}
		m, l := memPeers(t, t.Context(), &chanio.Options{Logger: slog.New(logger)})
		s := m.session(1, l)
		m.from(1, "left")
		require.Equal(t, "hello", string(<-s.Recv()))

		logger.held.Store(true)
		go s.Close() // begins the next session, which is an event
		synctest.Wait()
		logger.held.Store(false)
		s.Abort(nil)
		synctest.Wait()
		assert.False(t, isClosed(s.Done()), "what it left is neither its own nor the next one's")
		close(logger.release)
		<-s.Done()
		require.Equal(t, "left", string(<-(<-l.Sessions()).Recv()))
	})
}
