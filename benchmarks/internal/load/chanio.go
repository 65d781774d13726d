package load

import (
	"bytes"
	"context"

	"example.com/chanio"
	"example.com/chanio/benchmarks/internal/endpoint"
)

func options(c Config) *chanio.Options {
	e := c.Endpoint
	return &chanio.Options{TLS: e.ClientTLS, ReadBuffer: e.KernelBuffer, WriteBuffer: e.KernelBuffer, Framing: endpoint.FramingOf(c.Framing)}
}

// joinChanio joins a group.
func joinChanio(ctx context.Context, c Config) (link, error) {
	o := options(c)
	var err error
	if o.Multicast.Interface, err = c.Endpoint.Interface(); err != nil {
		return nil, err
	}
	conn, err := chanio.ListenMulticast(ctx, c.Endpoint.Network(), c.Endpoint.Address, o)
	if err != nil {
		return nil, err
	}
	return groupLink{conn}, nil
}

// dialChanio connects a client.
func dialChanio(ctx context.Context, c Config, p *pattern) (link, error) {
	s, err := chanio.Dial(ctx, c.Endpoint.Network(), c.Endpoint.Address, options(c))
	if err != nil {
		return nil, err
	}
	datagrams := c.Endpoint.Datagrams()
	l := &sessionLink{session: s, pattern: p, whole: c.Framing != "" || datagrams, batch: c.Batch}
	if datagrams {
		l.numbers, l.woken = &numbers{message: bytes.Clone(p.sent.messages(1))}, make(chan struct{}, 1)
	}
	return l, nil
}

// A sessionLink is a session dialed with chanio.
type sessionLink struct {
	session *chanio.Session
	pattern *pattern
	whole   bool          // messages go one by one: the session keeps their boundaries
	batch   bool          // in batches
	numbers *numbers      // of datagrams; nil for streams
	slab    []byte        // memory for the next datagrams
	woken   chan struct{} // by wake; nil for streams
}

func (l *sessionLink) send(n int) error {
	if l.batch {
		b := chanio.NewBatch()
		l.each(n, func(m []byte) error {
			b.Append(m)
			return nil
		})
		return l.session.PutBatch(b)
	}
	return l.each(n, func(m []byte) error {
		if l.numbers != nil {
			m = l.keep(m)
		}
		return l.session.Put(m)
	})
}

// each calls do for n messages, which are one for a session of raw bytes.
func (l *sessionLink) each(n int, do func([]byte) error) error {
	if !l.whole {
		return do(l.pattern.sent.messages(n))
	}
	for range n {
		m := l.pattern.sent.messages(1)
		if l.numbers != nil {
			m = l.numbers.next()
		}
		if err := do(m); err != nil {
			return err
		}
	}
	return nil
}

const slabMessages = 64

// keep returns a copy of m, which the library may keep.
func (l *sessionLink) keep(m []byte) []byte {
	n := len(m)
	if len(l.slab) < n {
		l.slab = make([]byte, slabMessages*n)
	}
	kept := l.slab[:n:n]
	l.slab = l.slab[n:]
	copy(kept, m)
	return kept
}

func (l *sessionLink) receive(yield func([]byte, bool) bool) error {
	if l.batch {
		return l.receiveBatches(yield)
	}
	for {
		var m []byte
		ok := true
		if l.woken == nil { // a receive costs less than a select
			m, ok = <-l.session.Recv()
		} else {
			select {
			case m, ok = <-l.session.Recv():
			case <-l.woken:
			}
		}
		if !ok {
			return l.ended()
		}
		if !yield(m, true) {
			return nil
		}
	}
}

func (l *sessionLink) receiveBatches(yield func([]byte, bool) bool) error {
	for {
		select {
		case b, ok := <-l.session.RecvBatch():
			if !ok {
				return l.ended()
			}
			for i, m := range b.All() {
				if !yield(m, i == b.Len()-1) {
					return nil
				}
			}
			b.Release()
		case <-l.woken:
			if !yield(nil, true) {
				return nil
			}
		}
	}
}

func (l *sessionLink) ended() error {
	if err := l.session.Err(); err != nil {
		return err
	}
	return errEnded
}

func (l *sessionLink) wake() {
	select {
	case l.woken <- struct{}{}:
	default:
	}
}

func (l *sessionLink) close() {
	l.session.Abort(nil)
	<-l.session.Done()
}

// A groupLink is a packet endpoint in a group. It only receives.
type groupLink struct{ conn *chanio.PacketConn }

func (l groupLink) send(int) error { return nil }

func (l groupLink) receive(yield func([]byte, bool) bool) error {
	for p := range l.conn.Recv() {
		if !yield(p.Data, true) {
			return nil
		}
	}
	return errEnded
}

func (l groupLink) wake() {}

func (l groupLink) close() { l.conn.Abort(nil) }
