package chanio_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

const proxyHeader1 = "PROXY TCP4 192.0.2.1 192.0.2.2 12345 443\r\n"

// proxyHeader2 is the same header in version 2, with an extension.
func proxyHeader2() string {
	h := []byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11")
	body := "\xc0\x00\x02\x01\xc0\x00\x02\x02\x30\x39\x01\xbb" + "\x02\x00\x0bexample.com"
	return string(binary.BigEndian.AppendUint16(h, uint16(len(body)))) + body
}

// eachProxied runs f for a listener with the PROXY protocol on each network,
// plain and with TLS. connect sends a header first.
func eachProxied(t *testing.T, o chanio.Options, f func(t *testing.T, l *chanio.Listener, connect func(header string) net.Conn)) {
	server, client := testTLS(t)
	o.ProxyProtocol = true
	for _, test := range []struct {
		name, network string
		tls           bool
	}{{"tcp", "tcp", false}, {"unix", "unix", false}, {"TLS", "tcp", true}, {"TLS over unix", "unix", true}} {
		t.Run(test.name, func(t *testing.T) {
			o := o
			if test.tls {
				o.TLS = server
			}
			l := listenOn(t, t.Context(), test.network, anyAddress(t, test.network), &o)
			f(t, l, func(header string) net.Conn {
				conn := connectTo(t, l)
				_, err := io.WriteString(conn, header)
				require.NoError(t, err)
				if test.tls {
					config := client.Clone()
					config.ServerName = "localhost"
					config.InsecureSkipVerify = true
					return tls.Client(conn, config)
				}
				return conn
			})
		})
	}
}

func TestASessionBehindAProxyHasItsClientsAddresses(t *testing.T) {
	for name, header := range map[string]string{"v1": proxyHeader1, "v2": proxyHeader2()} {
		t.Run(name, func(t *testing.T) {
			eachProxied(t, chanio.Options{}, func(t *testing.T, l *chanio.Listener, connect func(string) net.Conn) {
				conn := connect(header)
				answered := make(chan struct{})
				go func() {
					defer close(answered)
					io.WriteString(conn, "hello")
					io.ReadFull(conn, make([]byte, 5))
				}()
				s, _ := await(t, l.Sessions(), "the session")
				require.Equal(t, "192.0.2.1:12345", s.RemoteAddr().String())
				require.Equal(t, "192.0.2.2:443", s.LocalAddr().String())
				require.Equal(t, s.RemoteAddr(), s.NetConn().RemoteAddr())
				m, _ := await(t, s.Recv(), "a message")
				require.Equal(t, "hello", string(m), "nothing of the header, and nothing lost")
				require.NoError(t, s.Put(m))
				await(t, answered, "the answer")
			})
		})
	}
}

func TestAProxysOwnConnectionHasItsOwnAddresses(t *testing.T) {
	for name, header := range map[string]string{
		"UNKNOWN": "PROXY UNKNOWN\r\n",
		"LOCAL":   "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			l := listenTCP(t, &chanio.Options{ProxyProtocol: true})
			conn := connectTo(t, l)
			_, err := io.WriteString(conn, header)
			require.NoError(t, err)
			s, _ := await(t, l.Sessions(), "the session")
			require.Equal(t, conn.LocalAddr().String(), s.RemoteAddr().String())
		})
	}
}

func TestAConnectionWithoutAPROXYHeaderIsResetAndDelaysNoOne(t *testing.T) {
	eachProxied(t, chanio.Options{}, func(t *testing.T, l *chanio.Listener, connect func(string) net.Conn) {
		silent := connectTo(t, l)
		bad := connectTo(t, l)
		_, err := io.WriteString(bad, "GET / HTTP/1.1\r\n\r\n")
		require.NoError(t, err)
		_, err = bad.Read(make([]byte, 1))
		require.Error(t, err)
		e := tlsEvent(t, l.Events(), chanio.EventFailed)
		require.ErrorContains(t, e.Err, `no valid PROXY header: it begins with "GET / HTTP/1"`)

		good := connect(proxyHeader1)
		go io.WriteString(good, "hello")
		_, ok := await(t, l.Sessions(), "the good one's session")
		require.True(t, ok)
		silent.Close()
		e = tlsEvent(t, l.Events(), chanio.EventFailed)
		require.ErrorIs(t, e.Err, io.ErrUnexpectedEOF)
	})
}

func TestAPROXYHeaderThatIsCutAnywhereIsAFailure(t *testing.T) {
	l := listenTCP(t, &chanio.Options{ProxyProtocol: true, EventQueue: 1000})
	for _, header := range []string{proxyHeader1, proxyHeader2()} {
		for n := range len(header) {
			conn := connectTo(t, l)
			_, err := io.WriteString(conn, header[:n])
			require.NoError(t, err)
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			e := tlsEvent(t, l.Events(), chanio.EventFailed)
			require.ErrorIs(t, e.Err, io.ErrUnexpectedEOF, "after %d bytes", n)
			conn.Close()
		}
	}
	require.Zero(t, l.Stats().Accepted)
}

func TestAPROXYHeaderMustComeWithinHandshakeTimeout(t *testing.T) {
	l := listenTCP(t, &chanio.Options{ProxyProtocol: true, HandshakeTimeout: 50 * time.Millisecond})
	conn, err := net.Dial("tcp", l.Addr().String())
	if err == nil { // else it is over before Dial has looked
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		io.WriteString(conn, proxyHeader1[:20]) // which may come too late too
	}
	e := tlsEvent(t, l.Events(), chanio.EventFailed)
	require.ErrorIs(t, e.Err, os.ErrDeadlineExceeded)
	require.ErrorContains(t, e.Err, "HandshakeTimeout")
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	require.Error(t, err)
}

func TestAPROXYHeaderFromElsewhereIsRefused(t *testing.T) {
	from := []netip.Prefix{netip.MustParsePrefix("127.0.0.7/32"), netip.MustParsePrefix("2001:db8::/32")}
	l := listenTCP(t, &chanio.Options{ProxyProtocol: true, ProxyFrom: from})
	requireRefused(t, l) // it is not even waited for
	e := tlsEvent(t, l.Events(), chanio.EventFailed)
	require.ErrorContains(t, e.Err, "its address is not in ProxyFrom")
	require.ErrorContains(t, e.Err, "->127.0.0.1:")

	unix := listenOn(t, t.Context(), "unix", unixPath(t), &chanio.Options{ProxyProtocol: true, ProxyFrom: from})
	conn := connectTo(t, unix)
	_, err := io.WriteString(conn, proxyHeader1)
	require.NoError(t, err)
	s, _ := await(t, unix.Sessions(), "the session over unix")
	require.Equal(t, "192.0.2.1:12345", s.RemoteAddr().String())
}

// requireRefused checks that a connection to l ends at once, perhaps already in
// the dial.
func requireRefused(t *testing.T, l *chanio.Listener) {
	t.Helper()
	conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err == nil {
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		_, err = conn.Read(make([]byte, 1))
	}
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestMaxSessionsPerAddrBoundsWhatOneAddressHas(t *testing.T) {
	for _, way := range listeners {
		if way.name == "unix" {
			continue // its peers have no address
		}
		t.Run(way.name, func(t *testing.T) {
			l := way.listen(t, t.Context(), &chanio.Options{MaxSessionsPerAddr: 2})
			connectTo(t, l)
			connectTo(t, l)
			first, _ := await(t, l.Sessions(), "a session")
			await(t, l.Sessions(), "another session")
			requireRefused(t, l)
			e := tlsEvent(t, l.Events(), chanio.EventFailed)
			require.ErrorIs(t, e.Err, chanio.ErrTooManySessions)
			require.ErrorContains(t, e.Err, "MaxSessionsPerAddr = 2")

			first.Abort(nil)
			awaitDone(t, first)
			connectTo(t, l)
			await(t, l.Sessions(), "a session in its place")
		})
	}
}

func TestMaxSessionsPerAddrCountsAProxysClientsAndFailuresReleaseIt(t *testing.T) {
	server, _ := testTLS(t)
	l := listenTCP(t, &chanio.Options{ProxyProtocol: true, MaxSessionsPerAddr: 1})
	for i, address := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.1"} {
		conn := connectTo(t, l)
		_, err := io.WriteString(conn, "PROXY TCP4 "+address+" 192.0.2.9 1 1\r\n")
		require.NoError(t, err)
		if i < 2 {
			await(t, l.Sessions(), "the session of another client")
			continue
		}
		require.ErrorIs(t, tlsEvent(t, l.Events(), chanio.EventFailed).Err, chanio.ErrTooManySessions)
	}

	secure := listenTCP(t, &chanio.Options{TLS: server, MaxSessionsPerAddr: 1})
	for range 3 { // handshakes that fail hold nothing
		connectTo(t, secure).Close()
		require.NotErrorIs(t, tlsEvent(t, secure.Events(), chanio.EventFailed).Err, chanio.ErrTooManySessions)
	}
}

func TestASilentClientCountsForMaxSessionsPerAddr(t *testing.T) {
	server, client := testTLS(t)
	client.ServerName = "localhost"
	o := chanio.Options{MaxSessionsPerAddr: 1, HandshakeTimeout: time.Hour}
	secure := o
	secure.TLS = server
	listen := func() net.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		return ln
	}
	for name, l := range map[string]*chanio.Listener{
		"Listen":                  listenTCP(t, &secure),
		"Serve":                   chanio.Serve(t.Context(), listen(), &secure),
		"Serve over tls.Listener": chanio.Serve(t.Context(), tls.NewListener(listen(), server), &o),
	} {
		t.Run(name, func(t *testing.T) {
			defer l.Close()
			var silent []net.Conn
			for range 3 {
				if conn, err := net.Dial("tcp", l.Addr().String()); err == nil { // or it was reset already
					defer conn.Close()
					silent = append(silent, conn)
				}
			}
			for range 2 {
				require.ErrorIs(t, tlsEvent(t, l.Events(), chanio.EventFailed).Err, chanio.ErrTooManySessions)
			}
			for _, conn := range silent { // one of them holds the place
				conn.Close()
			}
			require.NotErrorIs(t, tlsEvent(t, l.Events(), chanio.EventFailed).Err, chanio.ErrTooManySessions)
			conn := tls.Client(connectTo(t, l), client)
			go conn.Handshake()
			await(t, l.Sessions(), "a session in its place")
		})
	}
}

// closesFirst is a listener whose first connections are closed when it returns
// them.
type closesFirst struct {
	net.Listener
	left int
}

func (l *closesFirst) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil && l.left > 0 {
		l.left--
		conn.Close()
	}
	return conn, err
}

func TestConnectionsWhoseOptionsCannotBeSetHoldNoPlaceOfTheirAddress(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := chanio.Serve(t.Context(), &closesFirst{ln, 2}, &chanio.Options{MaxSessionsPerAddr: 1, Nagle: true})
	defer l.Close()
	for range 2 {
		connectTo(t, l)
		require.ErrorIs(t, tlsEvent(t, l.Events(), chanio.EventFailed).Err, net.ErrClosed)
	}
	connectTo(t, l)
	await(t, l.Sessions(), "a session")
}

func TestStreamOptionsAreErrorsOnUDP(t *testing.T) {
	for name, o := range map[string]*chanio.Options{
		"ProxyProtocol":      {ProxyProtocol: true},
		"MaxSessionsPerAddr": {MaxSessionsPerAddr: 1},
	} {
		_, err := chanio.Listen(t.Context(), "udp", "127.0.0.1:0", o)
		require.ErrorContains(t, err, "chanio: option "+name+" is not for udp")
	}
}

func TestDialContextDialsInTheDialersPlace(t *testing.T) {
	server, client := testTLS(t)
	l := listenTCP(t, &chanio.Options{TLS: server})
	serveEcho(t, l)
	called := ""
	o := &chanio.Options{TLS: client, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		called = network + " " + address
		return new(net.Dialer).DialContext(ctx, network, l.Addr().String())
	}}
	s, err := chanio.Dial(t.Context(), "tcp", "localhost:1", o)
	require.NoError(t, err)
	require.Equal(t, "tcp localhost:1", called)
	requireEcho(t, s, "over TLS")

	none := func(context.Context, string, string) (net.Conn, error) { return nil, nil }
	_, err = chanio.Dial(t.Context(), "tcp", "127.0.0.1:1", &chanio.Options{DialContext: none})
	require.ErrorContains(t, err, "DialContext returned nil")
	hangs := func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	_, err = chanio.Dial(t.Context(), "tcp", "127.0.0.1:1", &chanio.Options{DialContext: hangs, DialTimeout: time.Millisecond})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// A stream over datagrams would lose, cut and join bytes.
func TestADialContextThatReturnsDatagramsIsAnErrorThatSaysSo(t *testing.T) {
	for _, network := range []string{"udp", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unixgram" {
				address = unixPath(t)
			}
			peer, err := net.ListenPacket(network, address)
			if err != nil {
				t.Skipf("not on this system: %v", err)
			}
			defer peer.Close()
			var dialed net.Conn
			o := &chanio.Options{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var err error
				dialed, err = new(net.Dialer).DialContext(ctx, network, peer.LocalAddr().String())
				return dialed, err
			}}
			requireTold := func(err error) {
				t.Helper()
				require.ErrorContains(t, err, "option DialContext returned no stream")
				require.ErrorIs(t, err, errors.ErrUnsupported)
				_, err = dialed.Write(nil)
				require.ErrorIs(t, err, net.ErrClosed, "it is closed")
			}
			_, err = chanio.Dial(t.Context(), "tcp", "127.0.0.1:1", o)
			requireTold(err)

			c := chanio.Connect(t.Context(), "tcp", "127.0.0.1:1", o)
			e := tlsEvent(t, c.Events(), chanio.EventFailed)
			require.NoError(t, c.Close())
			requireTold(e.Err)
		})
	}
}
