package chanio_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// A memServer serves TLS over memory.
type memServer struct {
	*chanio.Listener
	ln     *memListener
	client *tls.Config
}

// newMemServer starts a memServer. Its certificate is valid at a bubble's time.
// Nothing is buffered in memory, so there are no tickets: a client takes them
// only when it reads.
func newMemServer(t *testing.T, ctx context.Context, o chanio.Options) *memServer {
	t.Helper()
	ca := newAuthority(t, "ca")
	if o.TLS == nil {
		o.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, 1, nil)}}
	}
	o.TLS.SessionTicketsDisabled = true
	ln := newMemListener()
	m := &memServer{chanio.Serve(ctx, ln, &o), ln, &tls.Config{RootCAs: ca.pool, ServerName: "localhost"}}
	t.Cleanup(func() { m.Close() })
	return m
}

// connect dials and shakes hands, and returns when the server has done so too.
func (m *memServer) connect(t *testing.T) *tls.Conn {
	t.Helper()
	raw := m.ln.dial()
	require.NotNil(t, raw)
	t.Cleanup(func() { raw.Close() })
	conn := tls.Client(raw, m.client)
	require.NoError(t, conn.Handshake())
	synctest.Wait()
	return conn
}

func TestASilentClientFailsAfterHandshakeTimeout(t *testing.T) {
	for _, test := range []struct {
		name string
		peer func(conn net.Conn)
	}{
		{"silent", func(net.Conn) {}},
		{"a byte a second of a hello that never ends", func(conn net.Conn) {
			conn.Write([]byte{22, 3, 1, 0, 200, 1, 0, 0, 196})
			for {
				if _, err := conn.Write([]byte{3}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemServer(t, context.Background(), chanio.Options{HandshakeTimeout: 20 * time.Second})
				conn := m.ln.dial()
				start := time.Now()
				var peer sync.WaitGroup
				peer.Go(func() { test.peer(conn) })
				defer peer.Wait()
				e := tlsEvent(t, m.Events(), chanio.EventFailed)
				require.Equal(t, 20*time.Second, e.Time.Sub(start))
				requireHandshakeError(t, e.Err, conn.LocalAddr(), "HandshakeTimeout of 20s exceeded")
				require.ErrorIs(t, e.Err, os.ErrDeadlineExceeded)
				require.Nil(t, e.Session)
				_, err := conn.Read(make([]byte, 1))
				require.ErrorIs(t, err, syscall.ECONNRESET, "it must not look like an orderly end")
			})
		})
	}
}

func TestHandshakeTimeoutEndsWithTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemServer(t, context.Background(), chanio.Options{HandshakeTimeout: 20 * time.Second})
		conn := m.connect(t)
		s := <-m.Sessions()
		time.Sleep(time.Hour)
		go sendBack(s)
		_, err := conn.Write([]byte("still here"))
		require.NoError(t, err)
		buf := make([]byte, 100)
		n, err := conn.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "still here", string(buf[:n]))
	})
}

func TestWithoutHandshakeTimeoutAHandshakeMayTakeAnyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemServer(t, context.Background(), chanio.Options{HandshakeTimeout: -1})
		raw := m.ln.dial()
		defer raw.Close()
		time.Sleep(24 * time.Hour)
		require.NoError(t, tls.Client(raw, m.client).Handshake())
		<-m.Sessions()
	})
}

func TestUndeliveredSessionsPauseAccepting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemServer(t, context.Background(), chanio.Options{MaxHandshakes: 2})
		m.connect(t)
		m.connect(t)
		third := m.ln.dial() // the accepting goroutine holds it
		defer third.Close()
		m.ln.dial()
		time.Sleep(time.Hour)
		require.EqualValues(t, 3, m.ln.accepted.Load(), "a fourth waits")
		require.Equal(t, 2, m.Len(), "sessions live before they are received")

		<-m.Sessions()
		require.NoError(t, tls.Client(third, m.client).Handshake())
		<-m.Sessions()
	})
}

func TestHandshakesCountForMaxSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemServer(t, context.Background(), chanio.Options{MaxSessions: 1, HandshakeTimeout: 20 * time.Second})
		silent := m.ln.dial()
		defer silent.Close()
		start := time.Now()
		m.connect(t)
		require.Equal(t, 20*time.Second, time.Since(start), "it waits for the silent one's place")
		<-m.Sessions()
	})
}

func TestHandshakesEndWithTheListenerWithoutFailureEvents(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(m *memServer, cancel context.CancelFunc)
	}{
		{"Close", func(m *memServer, _ context.CancelFunc) { m.Close() }},
		{"Shutdown", func(m *memServer, _ context.CancelFunc) { m.Shutdown(context.Background()) }},
		{"the context", func(_ *memServer, cancel context.CancelFunc) { cancel() }},
		{"a permanent accept error", func(m *memServer, _ context.CancelFunc) {
			m.ln.Fail(errors.New("permanent"))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				m := newMemServer(t, ctx, chanio.Options{})
				silent := m.ln.dial()
				defer silent.Close()
				m.connect(t) // and is never received
				test.end(m, cancel)
				<-m.Done()
				for e := range m.Events() {
					require.NotEqual(t, chanio.EventFailed, e.Kind, "%v", e.Err)
				}
				_, err := silent.Read(make([]byte, 1))
				require.Error(t, err, "the connection is closed")
			})
		})
	}
}

func TestConfigCallbacksSeeTheEndOfTheirHandshake(t *testing.T) {
	for _, test := range []struct {
		name  string
		after time.Duration
		end   func(m *memServer)
	}{
		{"HandshakeTimeout", 20 * time.Second, func(*memServer) {}},
		{"Close", 0, func(m *memServer) { m.Close() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				called, released := make(chan struct{}), make(chan time.Time, 1)
				type key struct{}
				ctx := context.WithValue(context.Background(), key{}, "the user's")
				m := newMemServer(t, ctx, chanio.Options{HandshakeTimeout: 20 * time.Second, TLS: &tls.Config{
					GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
						assert.Equal(t, "the user's", hello.Context().Value(key{}))
						close(called)
						<-hello.Context().Done()
						released <- time.Now()
						return nil, hello.Context().Err()
					},
				}})
				raw := m.ln.dial()
				defer raw.Close()
				start := time.Now()
				go tls.Client(raw, m.client).Handshake()
				<-called
				test.end(m)
				require.Equal(t, test.after, (<-released).Sub(start))
			})
		})
	}
}

func TestEventsOfATLSSessionComeInOrder(t *testing.T) {
	server, client := testTLS(t)
	l := listenTCP(t, &chanio.Options{TLS: server})
	c := chanio.Connect(context.Background(), "tcp", l.Addr().String(), &chanio.Options{TLS: client})
	defer c.Close()
	s, _ := await(t, l.Sessions(), "the server's session")
	p, _ := await(t, c.Sessions(), "the client's session")
	s.CloseWrite()
	p.CloseWrite()
	awaitDone(t, s)
	awaitDone(t, p)
	want := []chanio.EventKind{chanio.EventStarted, chanio.EventConnected, chanio.EventHandshaked, chanio.EventDisconnected}
	require.Equal(t, want, kindsUntil(t, l.Events(), chanio.EventDisconnected))
	require.Equal(t, want, kindsUntil(t, c.Events(), chanio.EventDisconnected))
}

func TestTLSWorksOverUnixSockets(t *testing.T) {
	server, client := testTLS(t)
	path := unixPath(t)
	l, err := chanio.Listen(context.Background(), "unix", path, &chanio.Options{TLS: server})
	require.NoError(t, err)
	serveEcho(t, l)

	_, err = chanio.Dial(context.Background(), "unix", path, &chanio.Options{TLS: client})
	require.ErrorContains(t, err, "ServerName", "a path is no name")
	client.ServerName = "localhost"
	s := dialTLS(t, l, client)
	requireEcho(t, s, "hello")
	require.Equal(t, "unix", s.RemoteAddr().Network())
	_, ok := s.TLS()
	require.True(t, ok)
}

func TestSessionsWithoutTLSHaveNoTLSState(t *testing.T) {
	s, _ := memSession(t, nil)
	_, ok := s.TLS()
	require.False(t, ok)
}
