package chanio_test

import (
	"context"
	"net"
	"sync/atomic"

	"example.com/chanio/chaniotest"
)

// unbuffered is a link over which a write waits for its reader.
var unbuffered = &chaniotest.Link{Up: chaniotest.Path{Buffer: -1}, Down: chaniotest.Path{Buffer: -1}}

// memPair returns the two ends of a connection in memory without buffers.
func memPair() (a, b *chaniotest.Conn) { return chaniotest.Pipe(unbuffered) }

// A memListener is a listener in memory whose accepted connections a test may
// count and replace.
type memListener struct {
	*chaniotest.Listener
	accepted atomic.Int32
	replace  chan func(net.Conn) net.Conn // each makes one accepted connection another
}

func newMemListener() *memListener {
	return &memListener{Listener: chaniotest.NewListener(), replace: make(chan func(net.Conn) net.Conn, 1)}
}

// dial connects without buffers. It does not wait for Accept. It returns nil if
// the listener is closed.
func (l *memListener) dial() *chaniotest.Conn {
	conn, err := l.Dial(context.Background(), unbuffered)
	if err != nil {
		return nil
	}
	return conn
}

func (l *memListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.accepted.Add(1)
	select {
	case replace := <-l.replace:
		return replace(conn), nil
	default:
		return conn, nil
	}
}
