package chanio_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestIdleTimeoutCountsOnlyWhatIsReceived(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		m, l := memPeers(t, t.Context(), &o)
		go func() {
			for range m.out {
			}
		}()
		defer close(m.out)
		start := time.Now()
		first := m.session(1, l)
		time.Sleep(3 * time.Second)
		second := m.session(2, l)
		time.Sleep(2 * time.Second)
		m.from(1, "again") // whether or not there is room for it
		for range 100 {
			time.Sleep(time.Second)
			require.NoError(t, second.Put([]byte("answer")))
		}
		<-second.Done()
		require.Equal(t, 123*time.Second, since(start))
		requireTimeout(t, second.Err())
		require.ErrorContains(t, second.Err(), peerAddress(2).String())
		require.Equal(t, "hello", string(<-second.Recv()))
		require.True(t, isClosed(second.Recv()))
		require.ErrorIs(t, second.Put(nil), chanio.ErrClosed)

		<-first.Done()
		require.Equal(t, 125*time.Second, since(start))
		requireTimeout(t, first.Err())
		require.Zero(t, l.Len())
	})
}

func TestIdleTimeoutIsEachPeersOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, gap = 50, 70 * time.Millisecond
		m, l := memPeers(t, t.Context(), &chanio.Options{IdleTimeout: time.Second})
		var ended sync.WaitGroup
		for i := range n {
			s := m.session(i, l)
			if i%2 == 0 {
				m.answer(t, s)
			}
			born := time.Now()
			ended.Go(func() {
				<-s.Done()
				if since(born) != time.Second {
					t.Errorf("session %d ended after %v", i, since(born))
				}
			})
			time.Sleep(gap)
		}
		ended.Wait()
		time.Sleep(time.Hour)
		require.NotNil(t, m.session(1, l), "after a pause")
	})
}

func TestWithoutIdleTimeoutPeersStayForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := memPeers(t, t.Context(), &chanio.Options{IdleTimeout: -1})
		s := m.session(1, l)
		time.Sleep(1000 * time.Hour)
		require.NoError(t, s.Err())
		require.Equal(t, 1, l.Len())
	})
}

func TestAfterASessionsEndItsAddressBeginsANewOneAtOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(l *chanio.Listener, s *chanio.Session)
	}{
		{"Close", func(_ *chanio.Listener, s *chanio.Session) { s.Close() }},
		{"CloseWrite", func(_ *chanio.Listener, s *chanio.Session) { s.CloseWrite(); <-s.Done() }},
		{"closed Send", func(_ *chanio.Listener, s *chanio.Session) { close(s.Send()); <-s.Done() }},
		{"Abort", func(_ *chanio.Listener, s *chanio.Session) { s.Abort(nil); <-s.Done() }},
		{"DisconnectAll", func(l *chanio.Listener, _ *chanio.Session) { l.DisconnectAll() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				m, l := memPeers(t, t.Context(), &o)
				s := m.session(1, l)
				c.end(l, s)
				again := m.session(1, l)
				require.Equal(t, "hello", string(<-again.Recv()))
				require.NotEqual(t, s.ID(), again.ID())
				require.EqualValues(t, 2, l.Stats().Accepted)
				require.Zero(t, l.Stats().MessagesDropped)
				m.answer(t, again)
			})
		})
	}
}

func TestAClosingSessionDoesNotBlockTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := memPeers(t, t.Context(), &chanio.Options{CloseTimeout: time.Second, WriteTimeout: 3 * time.Second})
		s := m.session(1, l)
		require.NoError(t, s.Put([]byte("nobody takes this")))
		closed := make(chan error)
		go func() { closed <- s.Close() }()
		synctest.Wait()
		again := m.session(1, l)
		require.Equal(t, 2, l.Len())
		require.EqualValues(t, 2, l.Stats().Accepted)
		requireTimeout(t, <-closed)
		require.NoError(t, again.Err())
		require.Equal(t, 1, l.Len())
		m.from(1, "more")
		require.Equal(t, "hello", string(<-again.Recv()))
		require.Equal(t, "more", string(<-again.Recv()))
	})
}

// A handler that answers and closes answers every request, including those that
// came before it had closed.
func TestAHandlerThatAnswersAndClosesAnswersEveryRequest(t *testing.T) {
	answerOne := func(s *chanio.Session) {
		defer s.Close()
		s.Put(<-s.Recv())
	}
	t.Run("in batches", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, l := memPeers(t, t.Context(), nil)
			m.from(1, "0")
			s := <-l.Sessions()
			require.Equal(t, []string{"0"}, messagesOf(<-s.RecvBatch()))
			m.from(1, "1")
			m.from(1, "2")
			require.NoError(t, s.Close())
			require.True(t, isClosed(s.RecvBatch()))
			again := <-l.Sessions()
			require.Equal(t, "1", string(<-again.Recv()))
			require.Equal(t, "2", string(<-again.Recv()))
			st := l.Stats()
			require.EqualValues(t, 3, st.MessagesReceived)
			require.EqualValues(t, 3, st.BytesReceived)
			require.Zero(t, st.MessagesDropped)
		})
	})
	t.Run("a batch of more than Recv holds", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, l := memPeers(t, t.Context(), &chanio.Options{RecvQueue: 2})
			s := m.session(1, l)
			require.Equal(t, []string{"hello"}, messagesOf(<-s.RecvBatch()))
			want := []string{"0", "1", "2", "3", "4", "5"}
			for _, text := range want {
				m.from(1, text)
			}
			require.NoError(t, s.Close())
			s = <-l.Sessions()
			require.Equal(t, "0", string(<-s.Recv()))
			require.NoError(t, s.Close())
			s = <-l.Sessions()
			require.Equal(t, want[1:], messagesOf(<-s.RecvBatch()))
			m.from(1, "more")
			require.Equal(t, []string{"more"}, messagesOf(<-s.RecvBatch()))
			require.Zero(t, l.Stats().MessagesDropped)
		})
	})
	t.Run("one after the other", func(t *testing.T) {
		l := listenUDP(t, nil)
		go func() {
			for s := range l.Sessions() {
				go answerOne(s)
			}
		}()
		client := connectTo(t, l)
		for i := range 10 {
			require.Equal(t, fmt.Sprint(i), ask(t, client, fmt.Sprint(i)))
		}
	})
	t.Run("come together", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, l := memPeers(t, t.Context(), nil)
			m.from(1, "0")
			s := <-l.Sessions()
			for i := 1; i < 10; i++ {
				m.from(1, fmt.Sprint(i))
			}
			for i := range 10 {
				go answerOne(s)
				require.Equal(t, fmt.Sprint(i), string((<-m.out).Data))
				if i < 9 {
					s = <-l.Sessions()
				}
			}
			synctest.Wait()
			st := l.Stats()
			require.EqualValues(t, 10, st.MessagesReceived)
			require.EqualValues(t, 10, st.Accepted)
			require.Zero(t, st.Sessions)
			require.Zero(t, st.MessagesDropped)
		})
	})
}

func TestASessionClosedUnheardIsNotDeliveredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := memPeers(t, t.Context(), nil)
		s := m.session(1, l)
		m.from(1, "more")
		require.NoError(t, s.Close())
		synctest.Wait()
		require.Zero(t, l.Len())
		require.EqualValues(t, 1, l.Stats().Accepted)
		require.Equal(t, "hello", string(<-s.Recv()), "it may still be received")
		require.Equal(t, "more", string(<-s.Recv()))
		require.True(t, isClosed(s.Recv()))
	})
	synctest.Test(t, func(t *testing.T) {
		m, l := memPeers(t, t.Context(), nil)
		s := m.session(1, l)
		batches := s.RecvBatch()
		m.from(1, "more")
		require.NoError(t, s.Close())
		synctest.Wait()
		require.Zero(t, l.Len())
		require.Equal(t, []string{"hello", "more"}, messagesOf(<-batches))
		require.True(t, isClosed(batches))
	})
}

func TestAnIdlePeerIsANewSessionAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := memPeers(t, t.Context(), nil)
		s := m.session(1, l)
		<-s.Done()
		again := m.session(1, l)
		require.NotEqual(t, s.ID(), again.ID())
		require.Zero(t, l.Stats().MessagesDropped)
	})
}
