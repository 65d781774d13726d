package chanio_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/datagram"
	"example.com/chanio/internal/test/memory"
)

// floodOf makes n sessions from peers of l, of one datagram each, and receives
// them from Sessions.
func floodOf(t testing.TB, l *chanio.Listener, n int) {
	t.Helper()
	for i := range n {
		data := []byte{byte(i)}
		l.Deliver([]datagram.Packet{{Addr: peerAddress(i), Data: data}})
		<-l.Sessions()
	}
	require.Equal(t, n, l.Len())
}

// A forged datagram costs its receiver less than 1 KB, and as many as the
// default MaxSessions allows cost less than 100 MB.
func TestASessionThatWasNeverAnsweredHoldsLessThanAKilobyte(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's own memory would count")
	}
	synctest.Test(t, func(t *testing.T) {
		_, l := memPeers(t, t.Context(), nil)
		before := memory.Live()
		floodOf(t, l, chanio.DefaultUDPMaxSessions)
		grown := memory.Live() - before
		t.Logf("%d sessions hold %d KB, %d bytes each", l.Len(), grown>>10, grown/chanio.DefaultUDPMaxSessions)
		require.Less(t, grown/chanio.DefaultUDPMaxSessions, int64(1<<10))
		require.Less(t, grown, int64(100_000_000))
	})
}

func TestAnUndeliveredSessionHoldsTwoDatagrams(t *testing.T) {
	for _, way := range []string{"Recv", "RecvBatch"} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, l := memPeers(t, t.Context(), nil)
				large := string(make([]byte, datagram.MaxPayload4))
				for _, message := range []string{"first", large, "third", large} {
					m.from(1, message)
				}
				require.EqualValues(t, 2, l.Stats().MessagesDropped)
				s := <-l.Sessions()
				require.EqualValues(t, 2, s.Stats().MessagesReceived)
				synctest.Wait()
				m.from(1, "delivered")
				recv := received(s, way)
				m.from(1, "asked for")
				for _, want := range []string{"first", large, "delivered", "asked for"} {
					require.Equal(t, want, <-recv)
				}
				require.EqualValues(t, 2, s.Stats().MessagesDropped)
				s.Abort(nil)
				_, open := <-recv
				require.False(t, open)
			})
		})
	}
}

// received returns the messages of s one by one, whichever way they are
// received.
func received(s *chanio.Session, way string) <-chan string {
	out := make(chan string)
	go func() {
		defer close(out)
		if way == "Recv" {
			for m := range s.Recv() {
				out <- string(m)
			}
			return
		}
		for b := range s.RecvBatch() {
			for _, m := range b.All() {
				out <- string(m)
			}
		}
	}()
	return out
}

// A session that is asked for messages before it is received from Sessions
// holds as much as Recv does.
func TestRecvCalledBeforeDeliveryLetsASessionHoldRecvQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := memPeers(t, t.Context(), &chanio.Options{RecvQueue: 5})
		m.from(1, "0")
		for s := range l.All() {
			s.Recv()
		}
		for i := range 6 {
			m.from(1, fmt.Sprint(i+1))
		}
		s := <-l.Sessions()
		for i := range 5 {
			require.Equal(t, fmt.Sprint(i), string(<-s.Recv()))
		}
		require.EqualValues(t, 2, s.Stats().MessagesDropped)
	})
}

func TestRecvOfAUDPSessionIsBoundedInBytes(t *testing.T) {
	for _, asked := range []bool{false, true} {
		t.Run(fmt.Sprintf("asked=%v", asked), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, l := memPeers(t, t.Context(), nil)
				s := m.session(1, l)
				synctest.Wait()
				if asked {
					require.Equal(t, "hello", string(<-s.Recv()))
				} else {
					m.from(1, "hello")
				}
				quarter := make([]byte, chanio.RecvBytes/4-100)
				for range 6 {
					m.from(1, string(quarter))
				}
				require.EqualValues(t, 2, s.Stats().MessagesDropped)
				m.from(1, "what is small has room")
				m.from(1, string(quarter))
				require.EqualValues(t, 3, s.Stats().MessagesDropped)

				if !asked {
					require.Equal(t, "hello", string(<-s.Recv()))
					require.Equal(t, "hello", string(<-s.Recv()))
				}
				for range 4 {
					require.Len(t, <-s.Recv(), len(quarter))
				}
				require.Equal(t, "what is small has room", string(<-s.Recv()))
				for range 10 * s.Settings().RecvQueue { // the receiver makes room
					m.from(1, string(quarter))
					require.Len(t, <-s.Recv(), len(quarter))
				}
				for range 5 {
					m.from(1, string(quarter))
				}
				require.Len(t, s.Recv(), 4)
				require.EqualValues(t, 4, s.Stats().MessagesDropped)
			})
		})
	}
}
