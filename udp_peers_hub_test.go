package chanio_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestAHubSendsAMessageToUDPSessionsAsADatagram(t *testing.T) {
	l := listenUDP(t, nil)
	conn := connectTo(t, l)
	_, err := conn.Write([]byte("hello"))
	require.NoError(t, err)
	s := nextSession(t, l)
	require.Equal(t, 0, l.Hub().Len(), "a forged address must not subscribe anyone")
	require.NoError(t, l.Multicast([]byte("before it joined")))
	require.NoError(t, l.Hub().Join(s))
	want := []string{"one", "", "three", "", "", string(noise(9000)), "last"}
	for _, m := range want {
		require.NoError(t, l.Multicast([]byte(m)))
	}
	for _, m := range want {
		require.Equal(t, m, hear(t, conn))
	}
	require.NoError(t, l.Hub().Flush(t.Context()))
	require.EqualValues(t, len(want), s.Stats().MessagesSent)
	require.EqualValues(t, len(want), l.Hub().Stats().MessagesSent)
	require.EqualValues(t, s.Stats().BytesSent, l.Hub().Stats().BytesSent)

	l.Hub().Leave(s)
	require.NoError(t, l.Multicast([]byte("after it left")))
	require.NoError(t, s.Put([]byte("by Send")))
	require.Equal(t, "by Send", hear(t, conn))
}

func TestManySmallMessagesReachManyUDPSessionsInOrder(t *testing.T) {
	const members, messages, window = 10, 10_000, 100
	l := listenUDP(t, nil)
	var conns []net.Conn
	for range members {
		conn := connectTo(t, l)
		_, err := conn.Write([]byte("hello"))
		require.NoError(t, err)
		require.NoError(t, l.Hub().Join(nextSession(t, l)))
		conns = append(conns, conn)
	}
	for i := range messages {
		require.NoError(t, l.Multicast(fmt.Append(nil, i)))
		if i%window < window-1 {
			continue
		}
		for _, conn := range conns {
			for k := i - window + 1; k <= i; k++ {
				require.Equal(t, fmt.Sprint(k), hear(t, conn))
			}
		}
	}
}

func TestStreamsAndUDPSessionsShareAHub(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			h := chanio.NewHub(t.Context(), &q.o)
			defer h.Close()
			tcp, udp := listenTCP(t, &chanio.Options{ManualJoin: true}), listenUDP(t, &q.o)
			stream, s1 := joinTCP(t, tcp)
			peer := connectTo(t, udp)
			_, err := peer.Write([]byte("hello"))
			require.NoError(t, err)
			s2 := nextSession(t, udp)
			server := udpServer(t)
			s3 := dialUDP(t, server, &q.o)
			for i, s := range []*chanio.Session{s1, s2, s3} {
				require.NoError(t, h.Multicast([]byte("before all have joined")))
				require.NoError(t, h.Join(s))
				require.Equal(t, i+1, h.Len())
			}
			prefix := "before all have joined"
			require.Equal(t, prefix, hear(t, peer)) // of the two, it was there for the second
			var all bytes.Buffer
			for i := range 50 {
				m := fmt.Sprint("message ", i)
				if i%10 == 3 {
					m = ""
				}
				all.WriteString(m)
				require.NoError(t, h.Multicast([]byte(m)))
				require.Equal(t, m, hear(t, peer))
				got, _ := hearFrom(t, server)
				require.Equal(t, m, got)
			}
			require.NoError(t, s1.Close())
			got, err := io.ReadAll(stream)
			require.NoError(t, err)
			require.Equal(t, prefix+prefix+all.String(), string(got))
		})
	}
}

// lagging returns a hub whose member, a udp session, writes nothing until the
// test takes it from the socket, and hub messages that make it lag: more of
// them than MaxLag allows.
func lagging(t *testing.T, policy chanio.LagPolicy) (m *memSocket, s *chanio.Session, h *chanio.Hub, message func(i int) []byte) {
	t.Helper()
	o := &chanio.Options{Lag: policy, MaxLag: 1000}
	m, l := memPeers(t, t.Context(), o)
	s = m.session(1, l)
	h = l.Hub()
	require.NoError(t, h.Join(s))
	return m, s, h, func(i int) []byte { return fmt.Appendf(nil, "%0100d", i) }
}

func TestAUDPSessionThatLagsSkipsWholeMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s, h, message := lagging(t, chanio.LagDrop)
		const n = 100
		for i := range n {
			require.NoError(t, h.Multicast(message(i)))
			synctest.Wait()
		}
		var got [][]byte
		for {
			synctest.Wait()
			select {
			case p := <-m.out:
				got = append(got, p.Data)
				continue
			default:
			}
			break
		}
		last := -1
		for _, p := range got {
			i, err := strconv.Atoi(string(p))
			require.NoError(t, err)
			require.Equal(t, string(message(i)), string(p))
			require.Greater(t, i, last)
			last = i
		}
		require.Equal(t, n-1, last, "the newest message is never dropped")
		require.LessOrEqual(t, len(got), 22, "what was in flight, and MaxLag")
		require.EqualValues(t, n-len(got), s.Stats().MessagesDropped)
		require.EqualValues(t, n-len(got), h.Stats().MessagesDropped)
		require.NoError(t, s.Err())
		require.Zero(t, h.Stats().BytesPending)
	})
}

func TestAUDPSessionThatLagsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, h, message := lagging(t, chanio.LagDisconnect)
		for i := range 100 {
			require.NoError(t, h.Multicast(message(i)))
		}
		synctest.Wait()
		require.ErrorIs(t, s.Err(), chanio.ErrLagged)
		require.Zero(t, h.Len())
		<-s.Done()
	})
}

func TestAUDPSessionThatLagsHoldsThePublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s, h, message := lagging(t, chanio.LagBlock)
		const n = 100
		published := make(chan struct{})
		go func() {
			defer close(published)
			for i := range n {
				h.Multicast(message(i))
			}
		}()
		synctest.Wait()
		require.False(t, isClosed(published))
		for i := range n {
			require.Equal(t, string(message(i)), string((<-m.out).Data))
		}
		<-published
		require.NoError(t, s.Err())
	})
}

func TestAUDPSessionThatHoldsThePublisherForTooLongEnds(t *testing.T) {
	for _, own := range []int{0, 1, 5} {
		t.Run(fmt.Sprintf("%d messages of its own before", own), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, s, h, message := lagging(t, chanio.LagBlock)
				for range own {
					require.NoError(t, s.Put([]byte("nobody takes this")))
				}
				synctest.Wait()
				start := time.Now()
				for i := range 100 {
					require.NoError(t, h.Multicast(message(i)))
				}
				require.Equal(t, 10*time.Second, since(start), "WriteTimeout")
				synctest.Wait()
				require.ErrorIs(t, s.Err(), chanio.ErrLagged)
				<-s.Done()
			})
		})
	}
}

func TestAHubMessageTooLargeForADatagramFailsOnlyForUDPSessions(t *testing.T) {
	h := chanio.NewHub(t.Context(), nil)
	defer h.Close()
	tcp, udp := listenTCP(t, &chanio.Options{ManualJoin: true}), listenUDP(t, nil)
	stream, s1 := joinTCP(t, tcp)
	peer := connectTo(t, udp)
	_, err := peer.Write([]byte("hello"))
	require.NoError(t, err)
	s2 := nextSession(t, udp)
	require.NoError(t, h.Join(s1))
	require.NoError(t, h.Join(s2))
	large := noise(100_000)
	require.NoError(t, h.Multicast(large))
	require.NoError(t, h.Multicast([]byte("fits")))
	require.Equal(t, "fits", hear(t, peer))
	got := make([]byte, len(large)+len("fits"))
	_, err = io.ReadFull(stream, got)
	require.NoError(t, err)
	require.Equal(t, string(large)+"fits", string(got))
	e := tlsEvent(t, udp.Events(), chanio.EventFailed)
	require.ErrorIs(t, e.Err, chanio.ErrMessageTooLarge)
	require.ErrorContains(t, e.Err, "100000 bytes")
	require.Same(t, s2, e.Session)
	require.NoError(t, s2.Err())
	require.NoError(t, h.Flush(t.Context()))
	st := h.Stats()
	require.EqualValues(t, 3, st.MessagesSent)
	require.EqualValues(t, len(large)+2*len("fits"), st.BytesSent)
	require.EqualValues(t, 1, st.MessagesDropped)
	require.EqualValues(t, len(large), st.Undelivered)
	require.Zero(t, st.BytesPending)
}

func TestAHubReportsWhatNoDatagramHoldsWhereNobodyElseDoes(t *testing.T) {
	server := listenUDP(t, nil)
	h := testHub(t, nil)
	s, err := chanio.Dial(t.Context(), "udp", server.Addr().String(), nil)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, h.Join(s))
	require.NoError(t, h.Multicast(noise(100_000)))
	e := tlsEvent(t, h.Events(), chanio.EventFailed)
	require.ErrorIs(t, e.Err, chanio.ErrMessageTooLarge)
	require.Same(t, s, e.Session)
	require.NoError(t, h.Flush(t.Context()))
	require.EqualValues(t, 1, h.Stats().MessagesDropped)
}

func TestCloseOfAUDPSessionSendsWhatItsHubPublished(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		m, l := memPeers(t, t.Context(), &o)
		s := m.session(1, l)
		require.NoError(t, l.Hub().Join(s))
		for i := range 10 {
			require.NoError(t, l.Multicast(fmt.Append(nil, i)))
		}
		closed := make(chan error, 1)
		go func() { closed <- s.Close() }()
		for i := range 10 {
			require.Equal(t, fmt.Sprint(i), string((<-m.out).Data))
		}
		require.NoError(t, <-closed)
		require.Zero(t, s.Stats().Undelivered)
		require.Zero(t, l.Hub().Len())
	})
}

func TestAHubsMessagesMakeAPeerAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := memPeers(t, t.Context(), &chanio.Options{MaxSessions: 2})
		subscriber := m.session(1, l)
		require.NoError(t, l.Hub().Join(subscriber))
		require.NoError(t, l.Multicast([]byte("news")))
		<-m.out
		for i := 2; i < 10; i++ {
			m.session(i, l)
		}
		require.NoError(t, subscriber.Err())
		require.NoError(t, l.Hub().Shutdown(context.Background()))
	})
}
