package chanio

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
)

// hiddenConn is a connection whose descriptor the library does not see, so that
// it takes the portable path.
type hiddenConn struct {
	net.Conn
	halfCloser
}

func hide(conn net.Conn) net.Conn {
	if half, ok := conn.(halfCloser); ok {
		return hiddenConn{conn, half}
	}
	return conn
}

// socketPair returns the two ends of a connection over real sockets.
func socketPair(t testing.TB, network string) (a, b net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, address)
	require.NoError(t, err)
	defer ln.Close()
	a, err = net.Dial(network, ln.Addr().String())
	require.NoError(t, err)
	b, err = ln.Accept()
	require.NoError(t, err)
	return a, b
}

// pairs are the ways in which two ends can be connected.
var pairs = []struct {
	name string
	make func(t testing.TB) (a, b net.Conn)
}{
	{"tcp", func(t testing.TB) (a, b net.Conn) { return socketPair(t, "tcp") }},
	{"unix", func(t testing.TB) (a, b net.Conn) { return socketPair(t, "unix") }},
	{"portable", func(t testing.TB) (a, b net.Conn) {
		a, b = socketPair(t, "tcp")
		return hide(a), hide(b)
	}},
	{"pipe", func(testing.TB) (a, b net.Conn) { return net.Pipe() }},
}

// queues are the options that every promise must hold with.
var queues = []struct {
	name string
	o    Options
}{
	{"default queues", Options{}},
	{"queues of 0", Options{RecvQueue: -1, SendQueue: -1, EventQueue: -1}},
	{"queues of 1", Options{RecvQueue: 1, SendQueue: 1, EventQueue: 1}},
}

func TestNetConnIsANetConn(t *testing.T) {
	for _, p := range pairs {
		for _, q := range queues {
			t.Run(p.name+"/"+q.name, func(t *testing.T) {
				nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
					a, b := p.make(t)
					s1 := NewSession(context.Background(), a, &q.o)
					s2 := NewSession(context.Background(), b, &q.o)
					return s1.NetConn(), s2.NetConn(), func() {
						s1.Abort(nil)
						s2.Abort(nil)
						<-s1.Done()
						<-s2.Done()
					}, nil
				})
			})
		}
	}
}
