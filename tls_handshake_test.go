package chanio

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// requireHandshakeError checks that err says where a handshake failed, and why.
func requireHandshakeError(t testing.TB, err error, addr net.Addr, why string) {
	t.Helper()
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	require.Equal(t, "handshake", op.Op)
	require.Equal(t, addr.String(), op.Addr.String())
	require.ErrorContains(t, err, "chanio: handshake")
	require.ErrorContains(t, err, addr.String())
	require.ErrorContains(t, err, why)
}

// A memServer serves TLS over memory.
type memServer struct {
	*Listener
	ln     *memListener
	client *tls.Config
}

// newMemServer starts one. Its certificate is for the time of a bubble. Nothing
// is buffered in memory, so there are no tickets: a client takes them only when
// it reads.
func newMemServer(t *testing.T, ctx context.Context, o Options) *memServer {
	t.Helper()
	ca := newAuthority(t, "ca")
	if o.TLS == nil {
		o.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, 1, nil)}}
	}
	o.TLS.SessionTicketsDisabled = true
	ln := newMemListener()
	m := &memServer{Serve(ctx, ln, &o), ln, &tls.Config{RootCAs: ca.pool, ServerName: "localhost"}}
	t.Cleanup(func() { m.Close() })
	return m
}

// connect dials and shakes hands, and returns when the server has, too.
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
				m := newMemServer(t, context.Background(), Options{HandshakeTimeout: 20 * time.Second})
				conn := m.ln.dial()
				start := time.Now()
				var peer sync.WaitGroup
				peer.Go(func() { test.peer(conn) })
				defer peer.Wait()
				e := tlsEvent(t, m.Events(), EventFailed)
				require.Equal(t, 20*time.Second, e.Time.Sub(start))
				requireHandshakeError(t, e.Err, conn.RemoteAddr(), "HandshakeTimeout of 20s exceeded")
				require.ErrorIs(t, e.Err, os.ErrDeadlineExceeded)
				require.Nil(t, e.Session)
				_, err := conn.Read(make([]byte, 1))
				require.Error(t, err, "the connection is closed")
			})
		})
	}
}

func TestHandshakeTimeoutEndsWithTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemServer(t, context.Background(), Options{HandshakeTimeout: 20 * time.Second})
		conn := m.connect(t)
		s := <-m.Sessions()
		time.Sleep(time.Hour)
		go echo(s)
		_, err := conn.Write([]byte("still here"))
		require.NoError(t, err)
		buf := make([]byte, 100)
		n, err := conn.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "still here", string(buf[:n]))
	})
}

func TestWithoutHandshakeTimeoutAHandshakeMayTakeItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemServer(t, context.Background(), Options{HandshakeTimeout: -1})
		raw := m.ln.dial()
		defer raw.Close()
		time.Sleep(24 * time.Hour)
		require.NoError(t, tls.Client(raw, m.client).Handshake())
		<-m.Sessions()
	})
}

func TestFullOfUndeliveredSessionsAcceptingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemServer(t, context.Background(), Options{MaxHandshakes: 2})
		m.connect(t)
		m.connect(t)
		third := m.ln.dial() // it waits in the hand of who accepted it
		defer third.Close()
		time.Sleep(time.Hour)
		select {
		case m.ln.conns <- nil:
			require.Fail(t, "a fourth is accepted")
		default:
		}
		require.Equal(t, 2, m.Len(), "sessions live before they are received")

		<-m.Sessions()
		require.NoError(t, tls.Client(third, m.client).Handshake())
		<-m.Sessions()
	})
}

func TestHandshakesCountForMaxSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemServer(t, context.Background(), Options{MaxSessions: 1, HandshakeTimeout: 20 * time.Second})
		silent := m.ln.dial()
		defer silent.Close()
		start := time.Now()
		m.connect(t)
		require.Equal(t, 20*time.Second, time.Since(start), "it waits for the silent one's place")
		<-m.Sessions()
	})
}

func TestHandshakesEndWithTheListenerAndAreNoFailures(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(m *memServer, cancel context.CancelFunc)
	}{
		{"Close", func(m *memServer, _ context.CancelFunc) { m.Close() }},
		{"Shutdown", func(m *memServer, _ context.CancelFunc) { m.Shutdown(context.Background()) }},
		{"the context", func(_ *memServer, cancel context.CancelFunc) { cancel() }},
		{"an accept that failed for good", func(m *memServer, _ context.CancelFunc) {
			m.ln.errs <- errors.New("for good")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				m := newMemServer(t, ctx, Options{})
				silent := m.ln.dial()
				defer silent.Close()
				m.connect(t) // and is never received
				test.end(m, cancel)
				<-m.Done()
				for e := range m.Events() {
					require.NotEqual(t, EventFailed, e.Kind, "%v", e.Err)
				}
				_, err := silent.Read(make([]byte, 1))
				require.Error(t, err, "the connection is closed")
			})
		})
	}
}

func TestACallbackOfTheConfigSeesTheEndOfItsHandshake(t *testing.T) {
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
				m := newMemServer(t, ctx, Options{HandshakeTimeout: 20 * time.Second, TLS: &tls.Config{
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

// badClients are what clients do wrong, and what the server says of it.
func badClients(t testing.TB, ca *authority) []struct {
	name   string
	client func(t *testing.T, addr string) net.Addr
	says   string
} {
	// raw dials without TLS, and returns the client's address.
	raw := func(act func(t *testing.T, conn *net.TCPConn)) func(t *testing.T, addr string) net.Addr {
		return func(t *testing.T, addr string) net.Addr {
			conn, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			t.Cleanup(func() { conn.Close() })
			act(t, conn.(*net.TCPConn))
			return conn.LocalAddr()
		}
	}
	// client shakes hands with a config that goes wrong.
	client := func(change func(c *tls.Config)) func(t *testing.T, addr string) net.Addr {
		return func(t *testing.T, addr string) net.Addr {
			conn, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			t.Cleanup(func() { conn.Close() })
			config := &tls.Config{RootCAs: ca.pool, ServerName: "localhost", Certificates: []tls.Certificate{ca.issue(t, 5, nil)}}
			change(config)
			tls.Client(conn, config).Handshake() // an error, or not yet
			return conn.LocalAddr()
		}
	}
	with := func(c tls.Certificate) func(config *tls.Config) {
		return func(config *tls.Config) {
			// Certificates would not be shown to a server that wants another CA's.
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }
		}
	}
	hello := []byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}
	return []struct {
		name   string
		client func(t *testing.T, addr string) net.Addr
		says   string
	}{
		{"plain text", raw(func(t *testing.T, conn *net.TCPConn) {
			conn.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		}), "does not look like a TLS handshake"},
		{"SSL 2", raw(func(t *testing.T, conn *net.TCPConn) {
			conn.Write([]byte{0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10})
		}), "SSLv2"},
		{"a record that is too large", raw(func(t *testing.T, conn *net.TCPConn) {
			conn.Write([]byte{22, 3, 1, 0xff, 0xff})
		}), "oversized record"},
		{"an end before the beginning", raw(func(t *testing.T, conn *net.TCPConn) { conn.Close() }), "EOF"},
		{"an end in the middle", raw(func(t *testing.T, conn *net.TCPConn) {
			conn.Write(hello)
			conn.Close()
		}), "unexpected EOF"},
		{"a reset in the middle", raw(func(t *testing.T, conn *net.TCPConn) {
			conn.Write(hello)
			conn.SetLinger(0)
			conn.Close()
		}), "reset"},
		{"a CA that the client does not trust", client(func(c *tls.Config) {
			c.RootCAs = x509.NewCertPool()
		}), "remote error: tls: bad certificate"},
		{"a name that is not the server's", client(func(c *tls.Config) {
			c.ServerName = "other.example.com"
		}), "remote error: tls: bad certificate"},
		{"TLS 1.1", client(func(c *tls.Config) {
			c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
		}), "unsupported versions"},
		{"another protocol", client(func(c *tls.Config) {
			c.NextProtos = []string{"other"}
		}), "unsupported application protocols"},
		{"no certificate, TLS 1.2", client(func(c *tls.Config) {
			c.Certificates, c.MaxVersion = nil, tls.VersionTLS12
		}), "client didn't provide a certificate"},
		{"no certificate, TLS 1.3", client(func(c *tls.Config) {
			c.Certificates = nil
		}), "client didn't provide a certificate"},
		{"a certificate of another CA", client(with(newAuthority(t, "other").issue(t, 1, nil))), "unknown authority"},
		{"an expired certificate", client(with(ca.issue(t, 1, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		}))), "expired"},
		{"a certificate that is not yet valid", client(with(ca.issue(t, 1, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
		}))), "not yet valid"},
		{"a server's certificate", client(with(ca.issue(t, 1, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}))), "incompatible key usage"},
	}
}

func TestAFailedHandshakeIsAnEventThatSaysWhyAndOthersAreServed(t *testing.T) {
	ca := newAuthority(t, "ca")
	config := &tls.Config{
		Certificates: []tls.Certificate{ca.issue(t, 1, nil)},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    ca.pool,
		NextProtos:   []string{"chat"},
	}
	for _, kind := range []struct {
		name  string
		serve func(t *testing.T) *Listener
	}{
		{"Listen", func(t *testing.T) *Listener { return listenTCP(t, &Options{TLS: config}) }},
		{"Serve of a TLS listener", func(t *testing.T) *Listener {
			ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
			require.NoError(t, err)
			return Serve(context.Background(), ln, nil)
		}},
	} {
		l := kind.serve(t)
		serveEcho(t, l)
		good := &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{ca.issue(t, 2, nil)}}
		old := dialTLS(t, l, good)
		requireEcho(t, old, "before")
		for _, test := range badClients(t, ca) {
			t.Run(kind.name+"/"+test.name, func(t *testing.T) {
				addr := test.client(t, l.Addr().String())
				e := tlsEvent(t, l.Events(), EventFailed)
				requireHandshakeError(t, e.Err, addr, test.says)
				require.Nil(t, e.Session)
				requireEcho(t, old, "meanwhile")
				requireEcho(t, dialTLS(t, l, good), "after")
			})
		}
	}
}

func TestManySilentClientsDoNotHoldUpAGoodOne(t *testing.T) {
	server, client := testTLS(t)
	l := listenTCP(t, &Options{TLS: server, HandshakeTimeout: -1})
	serveEcho(t, l)
	for range 200 {
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
	}
	requireEcho(t, dialTLS(t, l, client), "hello")
	require.EqualValues(t, 1, l.Stats().Accepted, "all of them still shake hands")
}

// badServer accepts one connection after the other and hands them to act.
func badServer(t testing.TB, act func(conn *net.TCPConn)) net.Addr {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			act(conn.(*net.TCPConn))
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-ended
	})
	return ln.Addr()
}

func TestADialWhoseHandshakeFailsSaysWhyAndWhere(t *testing.T) {
	ca := newAuthority(t, "ca")
	serve := func(change func(c *x509.Certificate)) func(conn *net.TCPConn) {
		config := &tls.Config{Certificates: []tls.Certificate{ca.issue(t, 1, change)}}
		return func(conn *net.TCPConn) {
			tls.Server(conn, config).Handshake()
			conn.Close()
		}
	}
	for _, test := range []struct {
		name   string
		server func(conn *net.TCPConn)
		client *tls.Config
		says   string
		is     any
	}{
		{"wrong CA", serve(nil), &tls.Config{RootCAs: newAuthority(t, "other").pool}, "unknown authority", new(x509.UnknownAuthorityError)},
		{"expired", serve(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		}), nil, "expired", new(x509.CertificateInvalidError)},
		{"not yet valid", serve(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
		}), nil, "not yet valid", new(x509.CertificateInvalidError)},
		{"another name", serve(func(c *x509.Certificate) {
			c.IPAddresses, c.DNSNames = nil, []string{"other.example.com"}
		}), nil, "127.0.0.1", new(x509.HostnameError)},
		{"another name than the one asked for", serve(nil), &tls.Config{RootCAs: ca.pool, ServerName: "other.example.com"}, "other.example.com", new(x509.HostnameError)},
		{"a client's certificate", serve(func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}), nil, "incompatible key usage", new(x509.CertificateInvalidError)},
		{"plain text", func(conn *net.TCPConn) {
			conn.Write([]byte("220 mail.example.com\r\n"))
			conn.Close()
		}, nil, "does not look like a TLS handshake", new(tls.RecordHeaderError)},
		{"an end", func(conn *net.TCPConn) { conn.CloseWrite(); conn.Read(make([]byte, 1<<16)); conn.Close() }, nil, "EOF", nil},
		{"a reset", func(conn *net.TCPConn) { conn.SetLinger(0); conn.Read(make([]byte, 1)); conn.Close() }, nil, "reset", nil},
		{"an alert", func(conn *net.TCPConn) {
			tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{ca.issue(t, 1, nil)}}).Handshake()
			conn.Close()
		}, &tls.Config{RootCAs: ca.pool, MaxVersion: tls.VersionTLS12}, "remote error: tls: protocol version not supported", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := test.client
			if config == nil {
				config = &tls.Config{RootCAs: ca.pool}
			}
			addr := badServer(t, test.server)
			check := func(err error) {
				t.Helper()
				requireHandshakeError(t, err, addr, test.says)
				if test.is != nil {
					require.ErrorAs(t, err, test.is)
				}
			}
			s, err := Dial(context.Background(), "tcp", addr.String(), &Options{TLS: config})
			require.Nil(t, s)
			check(err)

			c := Connect(context.Background(), "tcp", addr.String(), &Options{TLS: config, Backoff: Backoff{Min: -1}})
			defer c.Close()
			check(tlsEvent(t, c.Events(), EventFailed).Err)
			check(tlsEvent(t, c.Events(), EventFailed).Err) // it tries again
		})
	}
}

func TestADialToASilentServerEndsWithDialTimeoutOrItsContext(t *testing.T) {
	_, config := testTLS(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	connected := make(chan struct{}, 2)
	addr := badServer(t, func(conn *net.TCPConn) {
		t.Cleanup(func() { conn.Close() })
		connected <- struct{}{}
	})
	_, err := Dial(ctx, "tcp", addr.String(), &Options{TLS: config, DialTimeout: 20 * time.Millisecond})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())

	<-connected
	go func() {
		<-connected
		cancel()
	}()
	_, err = Dial(ctx, "tcp", addr.String(), &Options{TLS: config})
	require.ErrorIs(t, err, context.Canceled)
}

func TestEventsOfATLSSessionComeInOrder(t *testing.T) {
	server, client := testTLS(t)
	l := listenTCP(t, &Options{TLS: server})
	c := Connect(context.Background(), "tcp", l.Addr().String(), &Options{TLS: client})
	defer c.Close()
	s, _ := await(t, l.Sessions(), "the server's session")
	p, _ := await(t, c.Sessions(), "the client's session")
	s.CloseWrite()
	p.CloseWrite()
	awaitDone(t, s)
	awaitDone(t, p)
	want := []EventKind{EventStarted, EventConnected, EventHandshaked, EventDisconnected}
	require.Equal(t, want, kindsUntil(t, l.Events(), EventDisconnected))
	require.Equal(t, want, kindsUntil(t, c.Events(), EventDisconnected))
}

func TestTLSWorksOverUnixSockets(t *testing.T) {
	server, client := testTLS(t)
	path := unixPath(t)
	l, err := Listen(context.Background(), "unix", path, &Options{TLS: server})
	require.NoError(t, err)
	serveEcho(t, l)

	_, err = Dial(context.Background(), "unix", path, &Options{TLS: client})
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

func TestTheAlertOfAFailedHandshakeGetsOutAlthoughMoreHasArrived(t *testing.T) {
	server, _ := testTLS(t)
	t.Run("dialed", func(t *testing.T) {
		for range 20 {
			ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
			require.NoError(t, err)
			defer ln.Close()
			failed := make(chan error, 1)
			go func() {
				conn, err := ln.Accept()
				if err == nil {
					defer conn.Close()
					err = conn.(*tls.Conn).Handshake()
					if err == nil { // it may be done before the client is
						_, err = conn.Read(make([]byte, 1))
					}
				}
				failed <- err
			}()
			// It refuses the certificate, which comes before the server's Finished.
			_, err = Dial(t.Context(), "tcp", ln.Addr().String(), &Options{TLS: &tls.Config{ServerName: "localhost"}})
			require.ErrorContains(t, err, "certificate")
			err, _ = await(t, failed, "the server's error")
			require.ErrorContains(t, err, "bad certificate")
		}
	})
	t.Run("accepted", func(t *testing.T) {
		l := listenTCP(t, &Options{TLS: server})
		for range 20 {
			conn := connectTo(t, l)
			unknown := append([]byte{recordHandshake, 3, 1, 0, 100, 99, 0, 0, 96}, noise(20_000)...)
			_, err := conn.Write(unknown)
			require.NoError(t, err)
			got, err := io.ReadAll(conn)
			require.NoError(t, err)
			require.Len(t, got, 7)
			require.EqualValues(t, recordAlert, got[0])
		}
	})
}
