package chanio_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
	"example.com/chanio/internal/sock"
)

func TestPastMaxHandshakesASilentHandshakeIsEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemServer(t, context.Background(), chanio.Options{MaxHandshakes: 2, HandshakeTimeout: -1})
		talking := m.ln.dial()
		defer talking.Close()
		_, err := talking.Write([]byte{22})
		require.NoError(t, err)
		silent := m.ln.dial()
		synctest.Wait()

		m.connect(t)
		e := tlsEvent(t, m.Events(), chanio.EventFailed)
		requireHandshakeError(t, e.Err, silent.LocalAddr(), "dropped: it had sent nothing when MaxHandshakes = 2 was exceeded")
		_, err = silent.Read(make([]byte, 1))
		require.Error(t, err)
		<-m.Sessions()
		synctest.Wait()

		// There is room for another one now. When there is none, a silent one that
		// comes is the next to go, and the talking one stays.
		second := m.ln.dial()
		synctest.Wait()
		third := m.ln.dial()
		defer third.Close()
		e = tlsEvent(t, m.Events(), chanio.EventFailed)
		requireHandshakeError(t, e.Err, second.LocalAddr(), "had sent nothing")
		synctest.Wait()
		talking.Close()
		e = tlsEvent(t, m.Events(), chanio.EventFailed)
		requireHandshakeError(t, e.Err, talking.LocalAddr(), "EOF")
	})
}

// Bytes that have come count even if their goroutine has not seen them yet.
func TestFirstBytesInTheKernelKeepAHandshake(t *testing.T) {
	server, _ := testTLS(t)
	l := listenTCP(t, &chanio.Options{TLS: server, HandshakeTimeout: -1, MaxHandshakes: 8})
	serveEcho(t, l)
	var talking []net.Conn
	for range 4 {
		conn := connectTo(t, l)
		_, err := conn.Write([]byte{22})
		require.NoError(t, err)
		require.Eventually(t, func() bool { return sock.Of(conn).Progress().Left == 0 }, patience, time.Millisecond)
		talking = append(talking, conn)
	}
	for range 40 {
		connectTo(t, l)
	}
	for range 40 + 4 - 8 {
		e := tlsEvent(t, l.Events(), chanio.EventFailed)
		require.ErrorContains(t, e.Err, "had sent nothing")
	}
	for _, conn := range talking {
		_, err := conn.Write([]byte("this is no TLS"))
		require.NoError(t, err)
		_, err = conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "its handshake fails; one that was evicted is reset")
	}
}

// A waitingConn is a wrapper's connection that must read from the peer before
// it knows its address, as wrappers for the PROXY protocol do.
type waitingConn struct {
	net.Conn
	known  chan struct{} // closed when it does
	closed chan struct{}
	once   sync.Once
}

func (c *waitingConn) RemoteAddr() net.Addr {
	select {
	case <-c.known:
		return c.Conn.RemoteAddr()
	case <-c.closed:
		return nil
	}
}

func (c *waitingConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// dialWaiting hands the listener a connection that waits, and returns both
// ends.
func dialWaiting(ln *memListener) (peer *chaniotest.Conn, c *waitingConn) {
	c = &waitingConn{known: make(chan struct{}), closed: make(chan struct{})}
	accepted := make(chan struct{})
	ln.replace <- func(conn net.Conn) net.Conn {
		defer close(accepted)
		c.Conn = conn
		return c
	}
	peer = ln.dial()
	<-accepted
	return peer, c
}

func TestAConnectionWithASlowRemoteAddrDelaysNoOther(t *testing.T) {
	for _, test := range []struct {
		name string
		tls  bool
	}{{"plain", false}, {"TLS", true}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := chanio.Options{HandshakeTimeout: 20 * time.Second}
				var l *chanio.Listener
				var ln *memListener
				good := func() { ln.dial() }
				if test.tls {
					m := newMemServer(t, t.Context(), o)
					l, ln = m.Listener, m.ln
					good = func() { m.connect(t) }
				} else {
					l, ln = serveMem(t, &o)
				}
				start := time.Now()
				dialWaiting(ln)
				dialWaiting(ln)
				good()
				<-l.Sessions()
				require.Less(t, time.Since(start), 2*chanio.Attention)
				require.Equal(t, 1, l.Len())

				for range 2 { // and they end as those that never shake hands do
					e := tlsEvent(t, l.Events(), chanio.EventFailed)
					require.ErrorIs(t, e.Err, os.ErrDeadlineExceeded)
					require.Equal(t, 20*time.Second, e.Time.Sub(start).Truncate(time.Second))
				}

				_, c := dialWaiting(ln)
				time.Sleep(time.Second)
				close(c.known)
				if !test.tls {
					require.Equal(t, c.RemoteAddr(), (<-l.Sessions()).RemoteAddr())
				}
				dialWaiting(ln) // Close ends it
			})
		})
	}
}

func TestATLSListenerOverWaitingConnectionsDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "ca")
		config := &tls.Config{Certificates: []tls.Certificate{ca.issue(t, 1, nil)}, SessionTicketsDisabled: true}
		ln := newMemListener()
		l := chanio.Serve(t.Context(), tls.NewListener(ln, config), nil)
		defer l.Close()
		dialWaiting(ln)
		raw := ln.dial()
		defer raw.Close()
		go tls.Client(raw, &tls.Config{RootCAs: ca.pool, ServerName: "localhost"}).Handshake()
		<-l.Sessions()
	})
}
