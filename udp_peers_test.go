package chanio_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/datagram"
)

func TestAUDPSessionIsAPeerBornWithItsFirstDatagram(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			l := listenUDP(t, &q.o)
			var clients [2]*chanio.Session
			for i := range clients {
				c, err := chanio.Dial(t.Context(), "udp", l.Addr().String(), &q.o)
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
			serveEach(l, func(s *chanio.Session) {
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
		o    chanio.Options
		want string
	}{
		{"TLS", chanio.Options{TLS: config}, "option TLS is not for udp"},
		{"Framing", chanio.Options{Framing: chanio.Lines{}}, "option Framing is not for udp"},
		{"a bad value", chanio.Options{MaxMessage: -1}, "option MaxMessage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := chanio.Listen(t.Context(), "udp", "127.0.0.1:0", &c.o)
			require.ErrorContains(t, err, c.want)
			_, err = chanio.Dial(t.Context(), "udp", "127.0.0.1:9", &c.o)
			require.ErrorContains(t, err, c.want)
			client := chanio.Connect(t.Context(), "udp", "127.0.0.1:9", &c.o)
			awaitDone(t, client)
			require.ErrorContains(t, client.Err(), c.want)
		})
	}
}

func TestAUDPAddressThatCannotBeBoundIsAnError(t *testing.T) {
	l := listenUDP(t, nil)
	_, err := chanio.Listen(t.Context(), "udp", l.Addr().String(), nil)
	require.ErrorContains(t, err, "chanio: listen udp")
	_, err = chanio.Listen(t.Context(), "udp4", "[::1]:0", nil)
	require.ErrorContains(t, err, "chanio: listen udp4")
	_, err = chanio.Listen(t.Context(), "udp4", "239.1.2.3:1234", nil)
	require.ErrorContains(t, err, "chanio: listen udp4: 239.1.2.3:1234: a multicast group, which ListenMulticast is for")
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("over before it began"))
	_, err = chanio.Listen(ended, "udp", "127.0.0.1:0", nil)
	require.ErrorContains(t, err, "over before it began")
}

func TestDatagramsOfEverySizeGoBothWays(t *testing.T) {
	for _, f := range packetFamilies {
		for _, size := range []int{0, 1, 1472, 9000, 65507} {
			t.Run(fmt.Sprintf("%s, %d bytes", f.name, size), func(t *testing.T) {
				l := listenUDPAt(t, f.network, f.address, &chanio.Options{RecvQueue: 2})
				serveEach(l, sendBack)
				c, err := chanio.Dial(t.Context(), f.network, l.Addr().String(), nil)
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
			client := chanio.Connect(t.Context(), f.network, l.Addr().String(), nil)
			defer client.Close()
			c, _ := await(t, client.Sessions(), "the session")
			require.NoError(t, c.Put([]byte("hello")))
			s := nextSession(t, l)
			require.Equal(t, "hello", nextMessage(t, s))

			size := datagram.MaxPayload(s.RemoteAddr().(*net.UDPAddr).AddrPort().Addr()) + 1
			for _, end := range []struct {
				name   string
				s      *chanio.Session
				events <-chan chanio.Event
				peer   *chanio.Session
			}{
				{"accepted", s, l.Events(), c},
				{"dialed", c, client.Events(), s},
			} {
				t.Run(end.name, func(t *testing.T) {
					requireTooLarge := func(err error) {
						t.Helper()
						require.ErrorIs(t, err, chanio.ErrMessageTooLarge)
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
					e := tlsEvent(t, end.events, chanio.EventFailed)
					require.Same(t, end.s, e.Session)
					requireTooLarge(e.Err)
					require.NoError(t, end.s.Err())
					require.EqualValues(t, 1, end.s.Stats().MessagesDropped)
					require.EqualValues(t, size, end.s.Stats().Undelivered)
					requireTooLarge(end.s.Flush(t.Context()))
					require.NoError(t, end.s.Flush(t.Context()), "told once")
				})
			}
			for _, s := range []*chanio.Session{s, c} {
				s.Send() <- make([]byte, size)
				require.ErrorIs(t, s.Close(), chanio.ErrMessageTooLarge)
				require.ErrorIs(t, s.Close(), chanio.ErrMessageTooLarge)
				require.NoError(t, s.Err())
			}
		})
	}
}

func TestAWildcardListenerAnswersFromWhereThePeerWroteTo(t *testing.T) {
	for _, c := range wildcards {
		t.Run(c.name, func(t *testing.T) {
			l := listenUDPAt(t, c.network, c.wildcard, nil)
			client := packetConn(t, "udp", c.client, nil, false)
			port := l.Addr().(*net.UDPAddr).AddrPort().Port()
			to := netip.AddrPortFrom(netip.MustParseAddr(c.to), port)
			require.NoError(t, client.Put(chanio.Packet{Addr: to, Data: []byte("question")}))
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
	sessions := make(map[string]*chanio.Session)
	for range 3 {
		for _, to := range []string{"127.0.0.1", "127.0.0.2"} {
			addr := netip.AddrPortFrom(netip.MustParseAddr(to), port)
			require.NoError(t, client.Put(chanio.Packet{Addr: addr, Data: []byte(to)}))
			if sessions[to] == nil {
				sessions[to] = nextSession(t, l)
			}
			require.Equal(t, to, nextMessage(t, sessions[to]))
			require.Equal(t, addr.String(), sessions[to].LocalAddr().String())
		}
		for to, s := range sessions { // the address that it last wrote to is only one of them
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
	serveEach(l, sendBack)
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
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		m, l := memPeers(t, t.Context(), &o)
		room := max(1, l.Settings().RecvQueue)
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
