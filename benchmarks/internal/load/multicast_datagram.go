package load

import (
	"context"
	"encoding/binary"
	"net"
	"sync"

	"example.com/chanio/benchmarks/internal/report"
)

// plainMulticastDatagrams counts what arrives at sockets in the endpoint's
// group, and what is missing.
func plainMulticastDatagrams(ctx context.Context, c Config) (*report.Report, error) {
	if c.Size < numberSize {
		return nil, errTooSmall
	}
	conns := make([]net.Conn, c.Clients)
	defer closeAll(conns)
	for i := range conns {
		conn, err := c.Endpoint.Join()
		if err != nil {
			return nil, err
		}
		conns[i] = conn
	}
	w := newWindow(c)
	var wg sync.WaitGroup
	for _, conn := range conns {
		s := &sequence{window: w, tally: w.tally()}
		wg.Go(func() {
			buf := make([]byte, 64<<10)
			for !w.over.Load() {
				n, err := conn.Read(buf)
				if err != nil {
					w.fail(err)
					return
				}
				s.receive(buf[:n])
			}
		})
	}
	r := w.measure(ctx)
	closeAll(conns)
	wg.Wait()
	return r, nil
}

// A sequence tracks the datagrams that one member receives. Our servers number
// them. CppServer's do not, so their losses are unknown.
type sequence struct {
	window *window
	tally  *tally

	began bool
	next  uint64 // number of the next expected datagram
	plain bool   // datagrams have no numbers
}

func (s *sequence) receive(datagram []byte) {
	if len(datagram) < numberSize {
		return
	}
	n := binary.BigEndian.Uint64(datagram)
	if s.began && n+1 == s.next && !s.plain { // the same twice: not a number
		s.plain = true
		s.tally.lost.Store(0)
	}
	if s.window.open.Load() {
		s.tally.bytes.Add(int64(len(datagram)))
		s.tally.messages.Add(1)
		switch {
		case s.plain || !s.began:
		case n > s.next:
			s.tally.lost.Add(int64(n - s.next))
		case n < s.next:
			s.tally.lost.Add(-1) // late: it was counted as lost
		}
	}
	s.next, s.began = max(s.next, n+1), true
}
