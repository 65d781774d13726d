package chanio_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/datagram"
)

// memDialed returns a dialed session over a socket in memory. It ends with the
// test.
func memDialed(t *testing.T, ctx context.Context, o *chanio.Options) (*memSocket, *chanio.Session) {
	t.Helper()
	m := newMemSocket()
	s, err := chanio.DialOver(ctx, m, somePeer, o)
	require.NoError(t, err)
	t.Cleanup(func() { s.Abort(nil); <-s.Done() })
	return m, s
}

// arrives makes a datagram arrive.
func (m *memSocket) arrives(message string) {
	m.in <- datagram.Packet{Addr: somePeer, Data: []byte(message)}
}

// udpServer returns a plain socket on the loopback interface, closed with the
// test.
func udpServer(t testing.TB) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// hearFrom returns the next datagram that conn receives, and its sender.
func hearFrom(t testing.TB, conn *net.UDPConn) (message string, from netip.AddrPort) {
	t.Helper()
	buf := make([]byte, 1<<16)
	n, from, err := conn.ReadFromUDPAddrPort(buf)
	require.NoError(t, err)
	return string(buf[:n]), from
}

// dialUDP returns a session to server that ends with the test.
func dialUDP(t testing.TB, server *net.UDPConn, o *chanio.Options) *chanio.Session {
	t.Helper()
	s, err := chanio.Dial(t.Context(), "udp", server.LocalAddr().String(), o)
	require.NoError(t, err)
	t.Cleanup(func() { s.Abort(nil); awaitDone(t, s) })
	return s
}

func TestADialedUDPSessionTalksOnlyToItsPeer(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			server, stranger := udpServer(t), udpServer(t)
			s := dialUDP(t, server, &q.o)
			require.Equal(t, server.LocalAddr().String(), s.RemoteAddr().String())
			_, ok := s.TLS()
			require.False(t, ok)
			for _, question := range []string{"one", "", "three"} {
				require.NoError(t, s.Put([]byte(question)))
				got, from := hearFrom(t, server)
				require.Equal(t, question, got)
				require.Equal(t, s.LocalAddr().String(), from.String())
				_, err := stranger.WriteToUDPAddrPort([]byte("forged"), from)
				require.NoError(t, err)
				_, err = server.WriteToUDPAddrPort([]byte(question), from)
				require.NoError(t, err)
				m, _ := await(t, s.Recv(), "the answer")
				require.Equal(t, question, string(m))
				require.NotNil(t, m)
				require.Equal(t, len(m), cap(m))
			}
			require.NoError(t, s.Flush(t.Context()))
			st := s.Stats()
			require.EqualValues(t, 8, st.BytesSent)
			require.EqualValues(t, 8, st.BytesReceived)
			require.EqualValues(t, 3, st.MessagesSent)
			require.EqualValues(t, 3, st.MessagesReceived)
			require.EqualValues(t, 1, st.Sessions)
			require.NoError(t, s.Close())
			require.NoError(t, s.Err())
			require.ErrorIs(t, s.Put([]byte("x")), chanio.ErrClosed)
			require.True(t, isClosed(s.Recv()))
		})
	}
}

func TestAUDPDialFailsOnlyForItsAddressOrContext(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "127.0.0.1:http:80", "[::1]:9"} {
		_, err := chanio.Dial(t.Context(), "udp4", address, nil)
		require.ErrorContains(t, err, "chanio: dial udp4")
	}
	why := errors.New("over before it began")
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, err := chanio.Dial(ended, "udp", "127.0.0.1:9", nil)
	require.ErrorIs(t, err, why)
}

func TestARefusalIsCountedAndEndsNoDialedSession(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("net lets Windows keep refusals to itself: go.dev/issue/5834")
	}
	server := udpServer(t)
	addr := server.LocalAddr().(*net.UDPAddr)
	client := chanio.Connect(t.Context(), "udp", addr.String(), nil)
	defer client.Close()
	s, _ := await(t, client.Sessions(), "the session")
	require.NoError(t, server.Close())
	for range 20 {
		require.NoError(t, s.Put([]byte("anybody there?")))
		require.NoError(t, s.Flush(t.Context()))
	}
	server, err := net.ListenUDP("udp4", addr)
	require.NoError(t, err)
	defer server.Close()
	require.NoError(t, server.SetDeadline(time.Now().Add(patience)))
	require.NoError(t, s.Put([]byte("now?")))
	got, from := hearFrom(t, server)
	require.Equal(t, "now?", got)
	_, err = server.WriteToUDPAddrPort([]byte("yes"), from)
	require.NoError(t, err)
	require.Equal(t, "yes", nextMessage(t, s))

	refused := s.Stats().Refused
	require.Positive(t, refused)
	require.Equal(t, refused, client.Stats().Refused)
	require.NoError(t, s.Close())
	awaitDone(t, s)
	require.Equal(t, refused, client.Stats().Refused, "of a session that has ended")
	require.EqualValues(t, 21, s.Stats().MessagesSent)
}

func TestUnreceivedDatagramsOfADialedSessionWaitInTheKernel(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.RecvQueue = 2
		m, s := memDialed(t, t.Context(), &o)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for i := range 10 {
				m.arrives(fmt.Sprint(i))
			}
		}()
		synctest.Wait()
		require.Len(t, s.Recv(), 2)
		require.False(t, isClosed(sent))
		for i := range 10 {
			require.Equal(t, fmt.Sprint(i), string(<-s.Recv()))
		}
		<-sent
		require.EqualValues(t, 10, s.Stats().MessagesReceived)
		require.Zero(t, s.Stats().MessagesDropped)
	})
}

func TestRecvOfADialedUDPSessionIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := memDialed(t, t.Context(), nil)
		quarter := strings.Repeat("x", chanio.RecvBytes/4-100)
		arrive := func(message string) {
			m.arrives(message)
			synctest.Wait()
		}
		for range 6 {
			arrive(quarter)
		}
		require.EqualValues(t, 2, s.Stats().MessagesDropped)
		arrive("what is small has room")
		require.EqualValues(t, 4*len(quarter)+len("what is small has room"), s.Stats().BytesReceived)
		for range 4 {
			require.Len(t, <-s.Recv(), len(quarter))
		}
		require.Equal(t, "what is small has room", string(<-s.Recv()))
		for range 10 * cap(s.Recv()) { // the receiver makes room
			arrive(quarter)
			require.Len(t, <-s.Recv(), len(quarter))
		}
		for range 5 {
			arrive(quarter)
		}
		require.Len(t, s.Recv(), 4)
		st := s.Stats()
		require.EqualValues(t, 3, st.MessagesDropped)
		require.EqualValues(t, 5+10*cap(s.Recv())+4, st.MessagesReceived)
	})
}

// The reader yields once to a receiver that does not receive, and again only when
// that has caught up.
func TestNoOneYieldsToAStalledReceiverOfADialedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := memDialed(t, t.Context(), nil)
		quarter := strings.Repeat("x", chanio.RecvBytes/4-100)
		for range 4 {
			m.arrives(quarter)
		}
		synctest.Wait()
		require.False(t, s.IsStalled())
		m.arrives(quarter)
		synctest.Wait()
		require.EqualValues(t, 1, s.Stats().MessagesDropped)
		require.True(t, s.IsStalled())
		<-s.Recv()
		m.arrives("x")
		synctest.Wait()
		require.True(t, s.IsStalled(), "one message is not enough")
		<-s.Recv()
		m.arrives("x")
		synctest.Wait()
		require.False(t, s.IsStalled(), "it keeps up again")
	})
}

func TestEveryKernelDropIsCounted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	server := udpServer(t)
	client := chanio.Connect(t.Context(), "udp", server.LocalAddr().String(), &chanio.Options{RecvQueue: 1})
	defer client.Close()
	s, _ := await(t, client.Sessions(), "the session")
	require.NoError(t, s.Put([]byte("hello")))
	_, from := hearFrom(t, server)
	const n = 5000 // more than any buffer holds
	for range n {
		_, err := server.WriteToUDPAddrPort(make([]byte, 1000), from)
		require.NoError(t, err)
	}
	for s.Stats().KernelDropped == 0 { // each datagram tells what was dropped before it
		nextMessage(t, s)
		_, err := server.WriteToUDPAddrPort([]byte("more"), from)
		require.NoError(t, err)
	}
	client.Close()
	awaitDone(t, s) // and no more is counted
	require.Equal(t, s.Stats().KernelDropped, client.Stats().KernelDropped)
}

func TestOnlyWhatIsReceivedKeepsADialedSessionFromItsIdleTimeout(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.IdleTimeout = 10 * time.Second
		m, s := memDialed(t, t.Context(), &o)
		start := time.Now()
		time.Sleep(7 * time.Second)
		m.arrives("hello")
		<-s.Recv()
		for range 9 {
			time.Sleep(time.Second)
			require.NoError(t, s.Put([]byte("anybody there?")))
			<-m.out
		}
		<-s.Done()
		require.Equal(t, 17*time.Second, since(start))
		requireTimeout(t, s.Err())
		require.True(t, isClosed(s.Recv()))
		require.True(t, isClosed(m.closed))
	})
}

func TestADialedSessionHasNoIdleTimeoutOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := memDialed(t, t.Context(), nil)
		time.Sleep(1000 * time.Hour)
		require.NoError(t, s.Err())
	})
}

func TestUndeliveredDatagramsOfADialedSessionAreCountedAsDropped(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.RecvQueue = 2
		m, s := memDialed(t, t.Context(), &o)
		for range 3 { // the last one waits for room
			m.arrives("hello")
		}
		synctest.Wait()
		require.NoError(t, s.Close())
		st := s.Stats()
		require.EqualValues(t, 2, st.MessagesReceived)
		require.EqualValues(t, 2*len("hello"), st.BytesReceived)
		require.EqualValues(t, 1, st.MessagesDropped)
		for range 2 {
			require.Equal(t, "hello", string(<-s.Recv()))
		}
		require.True(t, isClosed(s.Recv()))
	})
}

func TestAClientOnUDPReconnectsFromAnotherPort(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			l := listenUDP(t, nil)
			serveEach(l, sendBack)
			client := chanio.Connect(t.Context(), "udp", l.Addr().String(), &q.o)
			defer client.Close()
			var before *chanio.Session
			for i := range 3 {
				s, ok := await(t, client.Sessions(), "the session")
				require.True(t, ok)
				require.NoError(t, s.Put(fmt.Append(nil, i)))
				require.Equal(t, fmt.Sprint(i), nextMessage(t, s))
				if before != nil {
					require.True(t, isClosed(before.Done()))
					require.NoError(t, before.Err())
					require.NotEqual(t, before.LocalAddr().String(), s.LocalAddr().String())
				}
				before = s
				client.Reconnect()
				await(t, s.Done(), "the end of the session")
			}
			require.Equal(t, 3, l.Len(), "a udp listener is not told")
			await(t, client.Sessions(), "the session")
			require.NoError(t, client.Close())
			require.NoError(t, client.Err())
			st := client.Stats()
			require.EqualValues(t, 4, st.Accepted)
			require.EqualValues(t, 3, st.MessagesSent)
			require.EqualValues(t, 3, st.MessagesReceived)
		})
	}
}

func TestAClientOnUDPDialsAgainAfterAnIdleTimeout(t *testing.T) {
	server := udpServer(t)
	o := &chanio.Options{IdleTimeout: 10 * time.Millisecond, Backoff: chanio.Backoff{Min: time.Millisecond, Max: time.Millisecond}}
	client := chanio.Connect(t.Context(), "udp", server.LocalAddr().String(), o)
	defer client.Close()
	for range 5 {
		s, _ := await(t, client.Sessions(), "the session")
		awaitDone(t, s)
		requireTimeout(t, s.Err())
	}
	require.NoError(t, client.Close())
}

func TestEndsOfAClientOnUDP(t *testing.T) {
	why := errors.New("the show is over")
	for _, c := range []struct {
		name            string
		end             func(c *chanio.Client, s *chanio.Session, cancel context.CancelCauseFunc)
		client, session error
	}{
		{"Close", func(c *chanio.Client, _ *chanio.Session, _ context.CancelCauseFunc) { c.Close() }, nil, chanio.ErrClosed},
		{"context", func(_ *chanio.Client, _ *chanio.Session, cancel context.CancelCauseFunc) { cancel(why) }, why, why},
		{"Shutdown", func(c *chanio.Client, s *chanio.Session, _ context.CancelCauseFunc) {
			go func() {
				for range s.Recv() {
				}
				s.Put([]byte("goodbye"))
				s.Close()
			}()
			c.Shutdown(context.Background())
		}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := udpServer(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			client := chanio.Connect(ctx, "udp", server.LocalAddr().String(), nil)
			s, _ := await(t, client.Sessions(), "the session")
			require.NoError(t, s.Put([]byte("hello")))
			hearFrom(t, server)
			c.end(client, s, cancel)
			awaitDone(t, client)
			require.ErrorIs(t, client.Err(), c.client)
			require.True(t, isClosed(s.Done()))
			require.ErrorIs(t, s.Err(), c.session)
			if c.name == "Shutdown" {
				goodbye, _ := hearFrom(t, server)
				require.Equal(t, "goodbye", goodbye)
			}
		})
	}
}

func TestADialToAGroupIsASenderToIt(t *testing.T) {
	eachGroup(t, func(t *testing.T, f groupFamily, oneByOne bool) {
		port := freePort(t)
		members := []*chanio.PacketConn{
			groupConn(t, f.network, f.one, port, chanio.Options{}, oneByOne),
			groupConn(t, f.network, f.one, port, chanio.Options{}, oneByOne),
		}
		group := netip.AddrPortFrom(netip.MustParseAddr(f.one), port)
		s, err := chanio.Dial(t.Context(), f.network, group.String(), onLoopback(t, chanio.Options{}))
		require.NoError(t, err)
		defer s.Close()
		for i := range 10 {
			require.NoError(t, s.Put(fmt.Append(nil, i)))
			for _, p := range members {
				m := requireNext(t, p, fmt.Sprint(i))
				require.Equal(t, s.LocalAddr().String(), m.Addr.String())
			}
		}
	})
}
