package chanio_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// givenPair returns a session over a TLS connection that has not shaken hands,
// and its peer.
func givenPair(t *testing.T, o *chanio.Options) (*chanio.Session, *tls.Conn) {
	server, client := testTLS(t)
	client.ServerName = "localhost"
	a, b := socketPair(t, "tcp")
	require.NoError(t, a.SetDeadline(time.Now().Add(patience)))
	s := chanio.NewSession(context.Background(), tls.Server(b, server), o)
	t.Cleanup(func() {
		a.Close()
		s.Abort(nil)
		awaitDone(t, s)
	})
	return s, tls.Client(a, client)
}

func TestASessionOverATLSConnMayShakeHandsLate(t *testing.T) {
	s, peer := givenPair(t, nil)
	go sendBack(s)
	_, err := peer.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, peer.CloseWrite())
	got, err := io.ReadAll(peer)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	state, ok := s.TLS()
	require.True(t, ok)
	require.True(t, state.HandshakeComplete)
}

func TestASessionOverATLSConnMayHaveShakenHandsBefore(t *testing.T) {
	server, client := testTLS(t)
	client.ServerName = "localhost"
	a, b := socketPair(t, "tcp")
	accepted := make(chan *tls.Conn)
	go func() {
		conn := tls.Server(b, server)
		conn.Handshake()
		accepted <- conn
	}()
	tc := tls.Client(a, client)
	require.NoError(t, tc.Handshake())
	s := chanio.NewSession(context.Background(), <-accepted, nil)
	c := chanio.NewSession(context.Background(), tc, &chanio.Options{TLS: &tls.Config{}}) // which is ignored
	go sendBack(s)
	requireEcho(t, c, "hello")
	require.NoError(t, c.Close())
	awaitDone(t, s)
	require.NoError(t, s.Err())
}

func TestCloseDuringAHandshakeFlushes(t *testing.T) {
	s, peer := givenPair(t, nil)
	require.NoError(t, s.Put([]byte("greeting")))
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	<-s.Halted()
	got, err := io.ReadAll(peer) // and shake hands
	require.NoError(t, err)
	require.Equal(t, "greeting", string(got))
	require.NoError(t, peer.Close())
	err, _ = await(t, closed, "Close")
	require.NoError(t, err)
	require.NoError(t, s.Err())
}

func TestCloseOfASessionThatWroteNothingDoesNotWaitForItsHandshake(t *testing.T) {
	s, peer := givenPair(t, &chanio.Options{CloseTimeout: -1})
	require.NoError(t, s.Close())
	require.NoError(t, s.Err())
	require.Error(t, peer.Handshake())
}

func TestCloseWriteDuringAHandshakeWaitsForIt(t *testing.T) {
	s, peer := givenPair(t, nil)
	require.NoError(t, s.CloseWrite())
	_, err := peer.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, peer.CloseWrite())
	_, err = peer.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	require.Equal(t, "hello", string(receiveAll(s)))
	awaitDone(t, s)
	require.NoError(t, s.Err())
}

func TestAGivenTLSConnsFailedHandshakeIsTheSessionsErr(t *testing.T) {
	for _, test := range []struct {
		name string
		use  func(s *chanio.Session)
	}{
		{"which only reads", func(*chanio.Session) {}},
		{"which writes", func(s *chanio.Session) { s.Put([]byte("x")) }},
		{"which ends its output", func(s *chanio.Session) { s.CloseWrite() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, peer := givenPair(t, nil)
			test.use(s)
			_, err := peer.NetConn().Write([]byte("GET / HTTP/1.1\r\n\r\n"))
			require.NoError(t, err)
			awaitDone(t, s)
			requireHandshakeError(t, s.Err(), s.RemoteAddr(), "does not look like a TLS handshake")
		})
	}
}

func TestWriteTimeoutEndsAGivenTLSConnsHandshakeThatAWriteWaitsFor(t *testing.T) {
	s, _ := givenPair(t, &chanio.Options{WriteTimeout: 50 * time.Millisecond})
	require.NoError(t, s.Put([]byte("x")))
	awaitDone(t, s)
	require.ErrorContains(t, s.Err(), "WriteTimeout of 50ms exceeded")
	require.ErrorIs(t, s.Err(), os.ErrDeadlineExceeded)
}

func TestServeOfATLSListenerDeliversSessionsThatHaveShakenHands(t *testing.T) {
	server, client := testTLS(t)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
	require.NoError(t, err)
	l := chanio.Serve(context.Background(), ln, nil)
	defer l.Close()
	silent, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer silent.Close()
	dialTLS(t, l, client)
	s, _ := await(t, l.Sessions(), "a session")
	state, ok := s.TLS()
	require.True(t, ok)
	require.True(t, state.HandshakeComplete)
	require.Equal(t, []chanio.EventKind{chanio.EventStarted, chanio.EventConnected, chanio.EventHandshaked}, kindsUntil(t, l.Events(), chanio.EventHandshaked))
}

func TestARefusedClientCertificateIsTheClientsErr(t *testing.T) {
	ca := newAuthority(t, "ca")
	l := listenTCP(t, &chanio.Options{TLS: &tls.Config{
		Certificates: []tls.Certificate{ca.issue(t, 1, nil)},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    ca.pool,
	}})
	s := dialTLS(t, l, &tls.Config{RootCAs: ca.pool}) // TLS 1.3: the server has not looked yet
	require.Empty(t, receiveAll(s))
	require.ErrorContains(t, s.Err(), "remote error: tls: certificate required")
	require.ErrorContains(t, s.Err(), l.Addr().String())
}

func TestTLSMayBeSpokenInsideTLS(t *testing.T) {
	server, client := testTLS(t)
	client.ServerName = "localhost"
	ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
	require.NoError(t, err)
	l := chanio.Serve(context.Background(), ln, &chanio.Options{TLS: server})
	serveEcho(t, l)
	outer, err := tls.Dial("tcp", l.Addr().String(), client)
	require.NoError(t, err)
	inner := chanio.NewSession(context.Background(), tls.Client(outer, client), nil)
	requireEcho(t, inner, "hello")
	require.NoError(t, inner.Close())
}

func TestAClientShakesHandsOverATLSConnWhileItDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemServer(t, t.Context(), chanio.Options{})
		silent := make(chan net.Conn, 1) // what the first dial gets
		a, b := memPair()
		defer b.Close()
		silent <- a
		o := &chanio.Options{DialContext: func(context.Context, string, string) (net.Conn, error) {
			select {
			case conn := <-silent:
				return tls.Client(conn, m.client), nil
			default:
				return tls.Client(m.ln.dial(), m.client), nil
			}
		}}
		c := chanio.Connect(t.Context(), "tcp", somewhere, o)
		defer c.Close()
		s, ok := await(t, c.Sessions(), "the session")
		require.True(t, ok)
		state, _ := s.TLS()
		require.True(t, state.HandshakeComplete)
		for _, want := range []chanio.EventKind{chanio.EventStarted, chanio.EventFailed, chanio.EventConnected, chanio.EventHandshaked} {
			e := <-c.Events()
			require.Equal(t, want, e.Kind, "%v", e.Err)
			if want == chanio.EventFailed {
				require.ErrorIs(t, e.Err, context.DeadlineExceeded)
			}
		}
	})
}
