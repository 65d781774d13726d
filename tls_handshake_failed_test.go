package chanio_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
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

// badClients are the mistakes of clients, and what the server says of each.
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
	// client shakes hands with a config that makes it fail.
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
			// A client would not present its certificate to a server that wants
			// another CA's.
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
		{"a reset before the beginning", raw(func(t *testing.T, conn *net.TCPConn) {
			conn.SetLinger(0)
			conn.Close()
		}), "reset"},
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
		serve func(t *testing.T) *chanio.Listener
	}{
		{"Listen", func(t *testing.T) *chanio.Listener { return listenTCP(t, &chanio.Options{TLS: config}) }},
		{"Serve of a TLS listener", func(t *testing.T) *chanio.Listener {
			ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
			require.NoError(t, err)
			return chanio.Serve(context.Background(), ln, nil)
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
				e := tlsEvent(t, l.Events(), chanio.EventFailed)
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
	l := listenTCP(t, &chanio.Options{TLS: server, HandshakeTimeout: -1})
	serveEcho(t, l)
	for range 200 {
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
	}
	requireEcho(t, dialTLS(t, l, client), "hello")
	require.EqualValues(t, 1, l.Stats().Accepted, "all of them still shake hands")
}

// badServer accepts one connection after another and hands each to act.
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
			s, err := chanio.Dial(context.Background(), "tcp", addr.String(), &chanio.Options{TLS: config})
			require.Nil(t, s)
			check(err)

			c := chanio.Connect(context.Background(), "tcp", addr.String(), &chanio.Options{TLS: config, Backoff: chanio.Backoff{Min: -1}})
			defer c.Close()
			check(tlsEvent(t, c.Events(), chanio.EventFailed).Err)
			check(tlsEvent(t, c.Events(), chanio.EventFailed).Err) // it tries again
		})
	}
}

// A server that closes beside unread input would reset the connection, and the
// client might lose the alert.
func TestARefusedHelloIsAnsweredByAnAlertAndAnEndBesideUnreadInput(t *testing.T) {
	server, _ := testTLS(t)
	l := listenTCP(t, &chanio.Options{TLS: server})
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	hello := append([]byte{22, 3, 1, 0, 4, 99, 0, 0, 0}, make([]byte, 32<<10)...) // no such handshake message
	_, err = conn.Write(hello)
	require.NoError(t, err)
	got, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.NotEmpty(t, got)
	require.EqualValues(t, 21, got[0], "an alert (RFC 8446, 5.1)")
}

func TestARefusedServerHearsAnAlertAndAnEndBesideInputThatTheClientHasNotRead(t *testing.T) {
	server, client := testTLS(t)
	server.MaxVersion = tls.VersionTLS12
	client.RootCAs = newAuthority(t, "other").pool
	ended := make(chan error, 1)
	addr := badServer(t, func(conn *net.TCPConn) {
		defer conn.Close()
		err := tls.Server(&talkative{Conn: conn}, server).Handshake()
		var alert *net.OpError
		if !errors.As(err, &alert) || alert.Op != "remote error" {
			ended <- err
			return
		}
		_, err = conn.Read(make([]byte, 1))
		ended <- err
	})
	_, err := chanio.Dial(t.Context(), "tcp", addr.String(), &chanio.Options{TLS: client})
	require.ErrorContains(t, err, "unknown authority")
	err, _ = await(t, ended, "the end")
	require.ErrorIs(t, err, io.EOF)
}

// A talkative connection adds to its first write what the peer's TLS leaves
// unread.
type talkative struct {
	net.Conn
	spoken bool
}

func (c *talkative) Write(p []byte) (int, error) {
	if c.spoken {
		return c.Conn.Write(p)
	}
	c.spoken = true
	_, err := c.Conn.Write(append(slices.Clone(p), make([]byte, 32<<10)...))
	return len(p), err
}

func TestADialToASilentServerEndsWithDialTimeoutOrItsContext(t *testing.T) {
	_, config := testTLS(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// It may end before it has connected.
	addr := badServer(t, func(conn *net.TCPConn) {
		t.Cleanup(func() { conn.Close() })
	})
	_, err := chanio.Dial(ctx, "tcp", addr.String(), &chanio.Options{TLS: config, DialTimeout: 20 * time.Millisecond})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())

	addr = badServer(t, func(conn *net.TCPConn) {
		t.Cleanup(func() { conn.Close() })
		cancel()
	})
	_, err = chanio.Dial(ctx, "tcp", addr.String(), &chanio.Options{TLS: config, DialTimeout: patience})
	require.ErrorIs(t, err, context.Canceled)
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
			// The client refuses the certificate, which comes before the server's
			// Finished.
			_, err = chanio.Dial(t.Context(), "tcp", ln.Addr().String(), &chanio.Options{TLS: &tls.Config{ServerName: "localhost"}})
			require.ErrorContains(t, err, "certificate")
			err, _ = await(t, failed, "the server's error")
			require.ErrorContains(t, err, "bad certificate")
		}
	})
	t.Run("accepted", func(t *testing.T) {
		l := listenTCP(t, &chanio.Options{TLS: server})
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
