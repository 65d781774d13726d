package chanio_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestNetHTTPServesOnANetListener(t *testing.T) {
	server, client := testTLS(t)
	for _, test := range []struct {
		name string
		tls  bool // chanio's
		http bool // net/http's own
		want string
	}{
		{"plain", false, false, "HTTP/1.1 without TLS"},
		{"Options.TLS", true, false, "HTTP/1.1 with TLS"},
		{"ServeTLS of net/http", false, true, "HTTP/2.0 with TLS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := &chanio.Options{}
			if test.tls {
				o.TLS = server
			}
			l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", o)
			entered, release := make(chan struct{}), make(chan struct{})
			srv := &http.Server{TLSConfig: server.Clone(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					close(entered)
					<-release
				}
				with := " without TLS"
				if r.TLS != nil {
					with = " with TLS"
				}
				io.WriteString(w, r.Proto+with)
			})}
			served := make(chan error, 1)
			go func() {
				if test.http {
					served <- srv.ServeTLS(l.NetListener(), "", "")
				} else {
					served <- srv.Serve(l.NetListener())
				}
			}()
			transport := &http.Transport{TLSClientConfig: client.Clone(), ForceAttemptHTTP2: true}
			defer transport.CloseIdleConnections()
			get := func(path string) string {
				scheme := "http"
				if test.tls || test.http {
					scheme = "https"
				}
				resp, err := (&http.Client{Transport: transport}).Get(scheme + "://" + l.Addr().String() + path)
				if !assert.NoError(t, err) {
					return ""
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				assert.NoError(t, err)
				return string(body)
			}
			require.Equal(t, test.want, get("/"))

			// A request in progress when the server shuts down is answered.
			answered := make(chan string, 1)
			go func() { answered <- get("/slow") }()
			<-entered
			down := make(chan error, 1)
			go func() { down <- srv.Shutdown(t.Context()) }()
			require.ErrorIs(t, <-served, http.ErrServerClosed)
			close(release)
			require.Equal(t, test.want, <-answered)
			require.NoError(t, <-down)
			transport.CloseIdleConnections()
			awaitDone(t, l)
			require.NoError(t, l.Err())
		})
	}
}

func TestCloseOfANetListenerEndsAcceptAndLeavesWhatItReturned(t *testing.T) {
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
	ln := l.NetListener()
	require.Equal(t, l.Addr(), ln.Addr())
	peer := connectTo(t, l)
	conn, err := ln.Accept()
	require.NoError(t, err)
	dropped := connectTo(t, l)

	accepted := make(chan error, 1)
	other := l.NetListener() // another view of the same listener
	go func() {
		_, err := ln.Accept()
		for err == nil {
			_, err = ln.Accept()
		}
		accepted <- err
	}()
	require.NoError(t, ln.Close())
	require.ErrorIs(t, <-accepted, net.ErrClosed)
	_, err = other.Accept()
	for err == nil {
		_, err = other.Accept()
	}
	require.ErrorIs(t, err, net.ErrClosed)
	go io.Copy(conn, conn)
	requireAnswer(t, peer, "it runs on")
	require.NoError(t, peer.Close())
	dropped.Close()
	require.NoError(t, conn.Close())
	l.DisconnectAll() // the one that may have been accepted in time
	awaitDone(t, l)
}

func TestAcceptWithoutAByteStreamIsUnsupported(t *testing.T) {
	framed := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", &chanio.Options{Framing: chanio.Lines{}})
	_, err := framed.NetListener().Accept()
	require.ErrorIs(t, err, errors.ErrUnsupported)
	datagrams := listenOn(t, t.Context(), "udp", "127.0.0.1:0", nil)
	_, err = datagrams.NetListener().Accept()
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

func TestANetConnHasAConnectionStateOverTLSOnly(t *testing.T) {
	server, client := testTLS(t)
	type stater interface{ ConnectionState() tls.ConnectionState }
	l := listenTCP(t, &chanio.Options{TLS: server})
	dialTLS(t, l, client)
	conn, err := l.NetListener().Accept()
	require.NoError(t, err)
	require.True(t, conn.(stater).ConnectionState().HandshakeComplete)

	plain := listenTCP(t, nil)
	connectTo(t, plain)
	conn, err = plain.NetListener().Accept()
	require.NoError(t, err)
	_, ok := conn.(stater)
	require.False(t, ok)
}

func TestAcceptTellsWhatEndedTheListener(t *testing.T) {
	ln := newMemListener()
	l := chanio.Serve(t.Context(), ln, nil)
	ln.Fail(errTest)
	_, err := l.NetListener().Accept()
	require.ErrorIs(t, err, errTest)
	awaitDone(t, l)
}

func TestAcceptsErrorsEndServers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	ended := chanio.Serve(ctx, newMemListener(), nil)
	failed := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
	failed.BeforeBind(func() error { return os.NewSyscallError("socket", syscall.EMFILE) })
	require.Error(t, failed.Restart(t.Context()))
	for _, test := range []struct {
		name string
		l    *chanio.Listener
		want error
	}{
		{"the context's deadline", ended, context.DeadlineExceeded},
		{"a failed Restart", failed, syscall.EMFILE},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.l.NetListener().Accept()
			require.ErrorIs(t, err, test.want)
			require.ErrorIs(t, err, net.ErrClosed)
			var ne interface {
				net.Error
				Temporary() bool
			}
			require.ErrorAs(t, err, &ne)
			require.False(t, ne.Temporary(), "net/http would accept again, forever")
			require.False(t, ne.Timeout())

			over := chanio.Serve(t.Context(), test.l.NetListener(), nil)
			awaitDone(t, over)
			require.ErrorIs(t, over.Err(), test.want)
		})
	}
}
