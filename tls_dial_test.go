package chanio

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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
