package chanio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio/internal/datagram"
)

// listenUDP returns a udp listener on a free port of the loopback interface,
// which ends with the test.
func listenUDP(t testing.TB, o *Options) *Listener {
	t.Helper()
	return listenUDPAt(t, "udp", "127.0.0.1:0", o)
}

func listenUDPAt(t testing.TB, network, address string, o *Options) *Listener {
	t.Helper()
	l, err := Listen(context.Background(), network, address, o)
	if err != nil && address[0] == '[' {
		t.Skipf("no IPv6 here: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// ask sends a datagram and returns the one that comes back.
func ask(t testing.TB, conn net.Conn, question string) string {
	t.Helper()
	_, err := conn.Write([]byte(question))
	require.NoError(t, err)
	return hear(t, conn)
}

// hear returns the next datagram that conn receives.
func hear(t testing.TB, conn net.Conn) string {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	buf := make([]byte, 1<<16)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience))) // for this one, not for all
	n, err := conn.Read(buf)
	require.NoError(t, err)
	return string(buf[:n])
}

// nextSession returns the next session of l.
func nextSession(t testing.TB, l *Listener) *Session {
	t.Helper()
	s, ok := await(t, l.Sessions(), "a session")
	require.True(t, ok, "Sessions was closed: %v", l.Err())
	return s
}

// nextMessage returns the next message of s.
func nextMessage(t testing.TB, s *Session) string {
	t.Helper()
	m, ok := await(t, s.Recv(), "a message")
	require.True(t, ok, "Recv was closed: %v", s.Err())
	return string(m)
}

// memPeers returns a udp listener over a socket in memory, which ends with the
// test.
func memPeers(t *testing.T, ctx context.Context, o *Options) (*memSocket, *Listener) {
	t.Helper()
	set, err := peerSettings(ctx, "udp", o)
	require.NoError(t, err)
	m, source := memSource(t, ctx, set)
	l := newListener(set, source)
	l.start(ctx)
	t.Cleanup(func() { l.Close() })
	return m, l
}

func memSource(t *testing.T, ctx context.Context, set *settings) (*memSocket, *peers) {
	t.Helper()
	m := newMemSocket()
	conn, err := datagram.New(m, "udp", datagramConfig(set, false))
	require.NoError(t, err)
	return m, newPeers(ctx, conn, set)
}

// peerAddress is where the tests' peer number i is.
func peerAddress(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 1000)
}

// from lets a datagram of peer number i arrive, and waits until all that it
// leads to has happened.
func (m *memSocket) from(i int, message string) {
	m.in <- datagram.Packet{Addr: peerAddress(i), Data: []byte(message)}
	synctest.Wait()
}

// session lets peer number i become a session of l.
func (m *memSocket) session(i int, l *Listener) *Session {
	m.from(i, "hello")
	return <-l.Sessions()
}

// answer sends a message by s and takes it from the socket.
func (m *memSocket) answer(t *testing.T, s *Session) {
	t.Helper()
	require.NoError(t, s.Put([]byte("answer")))
	require.Equal(t, s.RemoteAddr().String(), (<-m.out).Addr.String())
}

func TestAUDPSessionIsAPeerBornWithItsFirstDatagram(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			l := listenUDP(t, &q.o)
			var clients [2]*Session
			for i := range clients {
				c, err := Dial(t.Context(), "udp", l.Addr().String(), &q.o)
				require.NoError(t, err)
				defer c.Close()
				clients[i] = c
				_, err = c.Write([]byte{byte('a' + i)})
				require.NoError(t, err)
				s := nextSession(t, l)
				require.Equal(t, string('a'+rune(i)), nextMessage(t, s))
				require.Equal(t, c.LocalAddr().String(), s.RemoteAddr().String())
				require.Equal(t, l.Addr().String(), s.LocalAddr().String())
				_, err = s.Write([]byte{byte('A' + i)})
				require.NoError(t, err)
			}
			for i, c := range clients {
				require.Equal(t, string('A'+rune(i)), nextMessage(t, c))
			}
			require.Equal(t, 2, l.Len())
			require.NoError(t, l.Close())
			require.Equal(t, 0, l.Len())
		})
	}
}

func TestPeersNeverSeeEachOthersMessages(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			l := listenUDP(t, &q.o)
			serveEach(l, func(s *Session) {
				first := ""
				for m := range s.Recv() {
					who, _, _ := strings.Cut(string(m), " ")
					if first == "" {
						first = who
					}
					if who != first {
						t.Errorf("the session of %s got a message of %s", first, who)
					}
					s.Put(m)
				}
			})
			var peers sync.WaitGroup
			for i := range 20 {
				conn := connectTo(t, l)
				peers.Go(func() {
					buf := make([]byte, 100)
					for k := range 100 {
						question := fmt.Sprintf("%d %d", i, k)
						if _, err := conn.Write([]byte(question)); err != nil {
							t.Error(err)
							return
						}
						n, err := conn.Read(buf)
						if err != nil || string(buf[:n]) != question {
							t.Errorf("asked %q, got %q, %v", question, buf[:n], err)
							return
						}
					}
				})
			}
			peers.Wait()
		})
	}
}

func TestOptionsThatAreNotForUDPAreErrors(t *testing.T) {
	config, _ := testTLS(t)
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"TLS", Options{TLS: config}, "option TLS is not for udp"},
		{"Framing", Options{Framing: Lines{}}, "option Framing is not for udp"},
		{"a bad value", Options{MaxMessage: -1}, "option MaxMessage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Listen(t.Context(), "udp", "127.0.0.1:0", &c.o)
			require.ErrorContains(t, err, c.want)
			_, err = Dial(t.Context(), "udp", "127.0.0.1:9", &c.o)
			require.ErrorContains(t, err, c.want)
			client := Connect(t.Context(), "udp", "127.0.0.1:9", &c.o)
			awaitDone(t, client)
			require.ErrorContains(t, client.Err(), c.want)
		})
	}
}

func TestAUDPAddressThatCannotBeBoundIsAnError(t *testing.T) {
	l := listenUDP(t, nil)
	_, err := Listen(t.Context(), "udp", l.Addr().String(), nil)
	require.ErrorContains(t, err, "chanio: listen udp")
	_, err = Listen(t.Context(), "udp4", "[::1]:0", nil)
	require.ErrorContains(t, err, "chanio: listen udp4")
	_, err = Listen(t.Context(), "udp4", "239.1.2.3:1234", nil)
	require.ErrorContains(t, err, "chanio: listen udp4: 239.1.2.3:1234: a multicast group, which ListenMulticast is for")
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("over before it began"))
	_, err = Listen(ended, "udp", "127.0.0.1:0", nil)
	require.ErrorContains(t, err, "over before it began")
}

func TestDatagramsOfEverySizeGoBothWays(t *testing.T) {
	for _, f := range packetFamilies {
		for _, size := range []int{0, 1, 1472, 9000, 65507} {
			t.Run(fmt.Sprintf("%s, %d bytes", f.name, size), func(t *testing.T) {
				l := listenUDPAt(t, f.network, f.address, &Options{RecvQueue: 2})
				serveEach(l, echo)
				c, err := Dial(t.Context(), f.network, l.Addr().String(), nil)
				require.NoError(t, err)
				defer c.Close()
				message := string(noise(size))
				for _, m := range []string{message, "next"} {
					require.NoError(t, c.Put([]byte(m)))
				}
				require.Equal(t, message, nextMessage(t, c))
				require.Equal(t, "next", nextMessage(t, c))
				require.EqualValues(t, size+len("next"), c.Stats().BytesReceived)
				require.EqualValues(t, 2, c.Stats().MessagesReceived)
			})
		}
	}
}

func TestOneByteMoreThanADatagramHoldsIsAnErrorThatNamesTheSize(t *testing.T) {
	for _, f := range packetFamilies {
		t.Run(f.name, func(t *testing.T) {
			l := listenUDPAt(t, f.network, f.address, nil)
			client := Connect(t.Context(), f.network, l.Addr().String(), nil)
			defer client.Close()
			c, _ := await(t, client.Sessions(), "the session")
			require.NoError(t, c.Put([]byte("hello")))
			s := nextSession(t, l)
			require.Equal(t, "hello", nextMessage(t, s))

			size := datagram.MaxPayload(s.RemoteAddr().(*net.UDPAddr).AddrPort().Addr()) + 1
			for _, end := range []struct {
				name   string
				s      *Session
				events <-chan Event
				peer   *Session
			}{
				{"accepted", s, l.Events(), c},
				{"dialed", c, client.Events(), s},
			} {
				t.Run(end.name, func(t *testing.T) {
					requireTooLarge := func(err error) {
						t.Helper()
						require.ErrorIs(t, err, ErrMessageTooLarge)
						require.ErrorContains(t, err, fmt.Sprint(size))
						require.ErrorContains(t, err, end.peer.LocalAddr().String())
					}
					requireTooLarge(end.s.Put(make([]byte, size)))
					_, err := end.s.Write(make([]byte, size))
					requireTooLarge(err)
					require.Zero(t, end.s.Stats().MessagesDropped)

					end.s.Send() <- make([]byte, size)
					end.s.Send() <- []byte("fits")
					require.Equal(t, "fits", nextMessage(t, end.peer))
					e := tlsEvent(t, end.events, EventFailed)
					require.Same(t, end.s, e.Session)
					requireTooLarge(e.Err)
					require.NoError(t, end.s.Err())
					require.EqualValues(t, 1, end.s.Stats().MessagesDropped)
					require.EqualValues(t, size, end.s.Stats().Undelivered)
					requireTooLarge(end.s.Flush(t.Context()))
					require.NoError(t, end.s.Flush(t.Context()), "told once")
				})
			}
			for _, s := range []*Session{s, c} {
				s.Send() <- make([]byte, size)
				require.ErrorIs(t, s.Close(), ErrMessageTooLarge)
				require.ErrorIs(t, s.Close(), ErrMessageTooLarge)
				require.NoError(t, s.Err())
			}
		})
	}
}

func TestAWildcardListenerAnswersFromWhereThePeerWroteTo(t *testing.T) {
	for _, c := range []struct{ name, network, wildcard, client, to string }{
		{"IPv4", "udp4", "0.0.0.0:0", "127.0.0.1:0", "127.0.0.1"},
		{"IPv4, another address", "udp4", "0.0.0.0:0", "127.0.0.1:0", "127.0.0.2"},
		{"IPv4 on both families", "udp", ":0", "127.0.0.1:0", "127.0.0.2"},
		{"IPv6", "udp6", "[::]:0", "[::1]:0", "::1"},
		{"IPv6 on both families", "udp", ":0", "[::1]:0", "::1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := listenUDPAt(t, c.network, c.wildcard, nil)
			client := packetConn(t, "udp", c.client, nil, false)
			port := l.Addr().(*net.UDPAddr).AddrPort().Port()
			to := netip.AddrPortFrom(netip.MustParseAddr(c.to), port)
			require.NoError(t, client.Put(Packet{Addr: to, Data: []byte("question")}))
			s := nextSession(t, l)
			require.Equal(t, "question", nextMessage(t, s))
			require.Equal(t, to.String(), s.LocalAddr().String())
			require.Equal(t, client.LocalAddr().String(), s.RemoteAddr().String(), "unmapped")
			for _, answer := range []string{"one", "two"} {
				require.NoError(t, s.Put([]byte(answer)))
				m := nextPacket(t, client)
				require.Equal(t, answer, string(m.Data))
				require.Equal(t, to, m.Addr)
			}
		})
	}
}

func TestAPeerThatWritesToTwoAddressesHasTwoSessions(t *testing.T) {
	l := listenUDPAt(t, "udp4", "0.0.0.0:0", nil)
	client := packetConn(t, "udp4", "127.0.0.1:0", nil, false)
	port := l.Addr().(*net.UDPAddr).AddrPort().Port()
	sessions := make(map[string]*Session)
	for range 3 {
		for _, to := range []string{"127.0.0.1", "127.0.0.2"} {
			addr := netip.AddrPortFrom(netip.MustParseAddr(to), port)
			require.NoError(t, client.Put(Packet{Addr: addr, Data: []byte(to)}))
			if sessions[to] == nil {
				sessions[to] = nextSession(t, l)
			}
			require.Equal(t, to, nextMessage(t, sessions[to]))
			require.Equal(t, addr.String(), sessions[to].LocalAddr().String())
		}
		for to, s := range sessions { // the last one that it wrote to is only one of them
			require.NoError(t, s.Put([]byte(to)))
			m := nextPacket(t, client)
			require.Equal(t, to, string(m.Data))
			require.Equal(t, to, m.Addr.Addr().String())
		}
	}
	require.Equal(t, 2, l.Len())
}

func TestAPeerThatRefusesEndsNothing(t *testing.T) {
	l := listenUDP(t, nil)
	good, gone := connectTo(t, l), connectTo(t, l)
	_, err := gone.Write([]byte("hello and goodbye"))
	require.NoError(t, err)
	refusing := nextSession(t, l)
	require.NoError(t, gone.Close())
	serveEach(l, echo)
	require.Equal(t, "0", ask(t, good, "0"))
	for i := range 20 {
		require.NoError(t, refusing.Put([]byte("anybody there?")))
		require.NoError(t, refusing.Flush(t.Context()))
		require.Equal(t, fmt.Sprint(i), ask(t, good, fmt.Sprint(i)))
	}
	require.NoError(t, refusing.Err())
	require.NoError(t, l.Err())
	require.NoError(t, refusing.Close())
	require.EqualValues(t, 20, refusing.Stats().MessagesSent)
}

func TestAStalledHandlerDelaysNobody(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		m, l := memPeers(t, t.Context(), &o)
		room := max(1, orDefault(o.RecvQueue, defaultMessageQueue))
		stalled := m.session(1, l)
		other := m.session(2, l)
		require.Equal(t, "hello", string(<-other.Recv()))
		start := time.Now()
		for i := range room + 9 {
			m.from(1, fmt.Sprint(i))
			m.from(2, fmt.Sprint(i))
			require.Equal(t, fmt.Sprint(i), string(<-other.Recv()))
			m.answer(t, other)
		}
		require.Zero(t, since(start))

		st := stalled.Stats()
		require.EqualValues(t, 10, st.MessagesDropped)
		require.EqualValues(t, room, st.MessagesReceived)
		require.Equal(t, "hello", string(<-stalled.Recv()))
		for i := range room - 1 {
			require.Equal(t, fmt.Sprint(i), string(<-stalled.Recv()))
		}
		m.from(1, "at last")
		require.Equal(t, "at last", string(<-stalled.Recv()))
		require.EqualValues(t, 10, l.Stats().MessagesDropped)
		require.Zero(t, other.Stats().MessagesDropped)
	})
}

func TestIdleTimeoutCountsOnlyWhatIsReceived(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
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
		require.ErrorIs(t, second.Put(nil), ErrClosed)

		<-first.Done()
		require.Equal(t, 125*time.Second, since(start))
		requireTimeout(t, first.Err())
		require.Zero(t, l.Len())
	})
}

func TestIdleTimeoutIsEachPeersOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, gap = 50, 70 * time.Millisecond
		m, l := memPeers(t, t.Context(), &Options{IdleTimeout: time.Second})
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

func TestNoIdleTimeoutKeepsPeersForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := memPeers(t, t.Context(), &Options{IdleTimeout: -1})
		s := m.session(1, l)
		time.Sleep(1000 * time.Hour)
		require.NoError(t, s.Err())
		require.Equal(t, 1, l.Len())
	})
}

func TestAfterASessionsEndItsAddressBeginsANewOneAtOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(l *Listener, s *Session)
	}{
		{"Close", func(_ *Listener, s *Session) { s.Close() }},
		{"CloseWrite", func(_ *Listener, s *Session) { s.CloseWrite(); <-s.Done() }},
		{"closed Send", func(_ *Listener, s *Session) { close(s.Send()); <-s.Done() }},
		{"Abort", func(_ *Listener, s *Session) { s.Abort(nil); <-s.Done() }},
		{"DisconnectAll", func(l *Listener, _ *Session) { l.DisconnectAll() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o Options) {
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

func TestASessionThatStillClosesIsNotInTheWayOfTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := memPeers(t, t.Context(), &Options{CloseTimeout: time.Second, WriteTimeout: 3 * time.Second})
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

// A handler that answers and closes answers every request, also those that came
// before it had closed.
func TestAHandlerThatAnswersAndClosesAnswersEveryRequest(t *testing.T) {
	answerOne := func(s *Session) {
		defer s.Close()
		s.Put(<-s.Recv())
	}
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

func TestWhoClosesASessionUnheardIsNotHandedItAgain(t *testing.T) {
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
