package chanio_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"example.com/chanio/internal/datagram"
)

// A memSocket is a UDP socket in memory, for tests that run on a bubble's time.
// What the test sends on in arrives. What is written comes out of out, which
// blocks the writer as a full kernel buffer does.
type memSocket struct {
	addr netip.AddrPort
	in   chan datagram.Packet
	out  chan datagram.Packet
	fail chan error // errors that reads return

	closed chan struct{}
	close  func()

	mu          sync.Mutex
	stopped     chan struct{} // closed when the read deadline has passed
	writeBefore time.Time
}

func newMemSocket() *memSocket {
	m := &memSocket{
		addr:    netip.MustParseAddrPort("192.0.2.1:1000"),
		in:      make(chan datagram.Packet),
		out:     make(chan datagram.Packet),
		fail:    make(chan error),
		closed:  make(chan struct{}),
		stopped: make(chan struct{}),
	}
	m.close = sync.OnceFunc(func() { close(m.closed) })
	return m
}

func (m *memSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	m.mu.Lock()
	stopped := m.stopped
	m.mu.Unlock()
	select {
	case p := <-m.in:
		return copy(b, p.Data), net.UDPAddrFromAddrPort(p.Addr), nil
	case err := <-m.fail:
		return 0, nil, err
	case <-stopped:
		return 0, nil, os.ErrDeadlineExceeded
	case <-m.closed:
		return 0, nil, net.ErrClosed
	}
}

func (m *memSocket) WriteTo(b []byte, to net.Addr) (int, error) {
	m.mu.Lock()
	before := m.writeBefore
	m.mu.Unlock()
	var late <-chan time.Time
	if !before.IsZero() {
		late = time.After(time.Until(before))
	}
	select {
	case <-m.closed:
		return 0, net.ErrClosed
	default:
	}
	select {
	case m.out <- datagram.Packet{Addr: to.(*net.UDPAddr).AddrPort(), Data: append([]byte{}, b...)}:
		return len(b), nil
	case <-late:
		return 0, os.ErrDeadlineExceeded
	case <-m.closed:
		return 0, net.ErrClosed
	}
}

func (m *memSocket) SetDeadline(t time.Time) error {
	return errors.Join(m.SetReadDeadline(t), m.SetWriteDeadline(t))
}

// SetReadDeadline takes only a time in the past and the zero time.
func (m *memSocket) SetReadDeadline(t time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.stopped:
		if t.IsZero() {
			m.stopped = make(chan struct{})
		}
	default:
		if !t.IsZero() {
			close(m.stopped)
		}
	}
	return nil
}

func (m *memSocket) SetWriteDeadline(t time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writeBefore = t
	return nil
}

func (m *memSocket) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(m.addr) }

func (m *memSocket) Close() error {
	m.close()
	return nil
}
