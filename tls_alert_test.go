package chanio_test

import (
	"context"
	"crypto/tls"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// With TLS 1.3 a client is done with the handshake before the server has looked
// at its certificate, and writes: the server closes with input unread.
func TestARefusedClientThatWritesHearsTheAlert(t *testing.T) {
	server, client := testTLS(t)
	server.ClientAuth = tls.RequireAnyClientCert
	client.MinVersion = tls.VersionTLS13
	client.ServerName = "localhost"
	ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
	require.NoError(t, err)
	refused := make(chan struct{})
	go func() {
		defer close(refused)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.(*tls.Conn).Handshake() // which fails
			conn.Close()
		}
	}()
	for _, way := range []struct {
		name string
		dial func(ctx context.Context) (*chanio.Session, error)
	}{
		{"Dial", func(ctx context.Context) (*chanio.Session, error) {
			return chanio.Dial(ctx, "tcp", ln.Addr().String(), &chanio.Options{TLS: client})
		}},
		{"a *tls.Conn", func(ctx context.Context) (*chanio.Session, error) {
			conn, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				return nil, err
			}
			return chanio.NewSession(ctx, tls.Client(conn, client), nil), nil
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			for i := range 40 {
				s, err := way.dial(t.Context())
				require.NoError(t, err)
				go func() {
					for range 100 * (i % 2) { // half of them send nothing but the end of stream
						s.Put([]byte("request"))
					}
					s.CloseWrite()
				}()
				for range s.Recv() {
				}
				awaitDone(t, s)
				require.ErrorContains(t, s.Err(), "certificate required")
			}
		})
	}
	require.NoError(t, ln.Close())
	<-refused
}
