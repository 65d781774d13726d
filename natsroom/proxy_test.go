package natsroom_test

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A proxy stands between a node and the server, and can cut and stall
// connections.
type proxy struct {
	ln    net.Listener
	group sync.WaitGroup

	mu     sync.Mutex
	target string // empty: there is no server
	conns  map[net.Conn]struct{}
	open   chan struct{} // closed unless nothing may pass
	cut    bool
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{ln: ln, target: target, conns: make(map[net.Conn]struct{}), open: make(chan struct{})}
	close(p.open)
	p.group.Go(p.accept)
	t.Cleanup(func() {
		ln.Close()
		p.resume()
		p.drop()
		p.group.Wait()
	})
	return p
}

func (p *proxy) url() string { return "nats://" + p.ln.Addr().String() }

func (p *proxy) accept() {
	for {
		a, err := p.ln.Accept()
		if err != nil {
			return
		}
		b, err := p.dial()
		if err != nil {
			a.Close()
			continue
		}
		if !p.keep(a, b) {
			continue
		}
		p.group.Go(func() { p.copy(a, b) })
		p.group.Go(func() { p.copy(b, a) })
	}
}

// lead makes connections from now on go to target.
func (p *proxy) lead(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

func (p *proxy) dial() (net.Conn, error) {
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	if target == "" {
		return nil, net.ErrClosed
	}
	return net.Dial("tcp", target)
}

func (p *proxy) keep(a, b net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		a.Close()
		b.Close()
		return false
	}
	p.conns[a], p.conns[b] = struct{}{}, struct{}{}
	return true
}

// copy copies data while it may pass.
func (p *proxy) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		open := p.open
		p.mu.Unlock()
		<-open
		if _, werr := to.Write(buf[:n]); werr != nil || err != nil {
			p.mu.Lock()
			delete(p.conns, to)
			delete(p.conns, from)
			p.mu.Unlock()
			return
		}
	}
}

// stall lets nothing pass, and ends no connection.
func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = make(chan struct{})
}

// sever ends all connections and lets none begin.
func (p *proxy) sever() {
	p.mu.Lock()
	p.cut = true
	p.mu.Unlock()
	p.drop()
}

// resume ends stall and sever.
func (p *proxy) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
	select {
	case <-p.open:
	default:
		close(p.open)
	}
}

func (p *proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}
