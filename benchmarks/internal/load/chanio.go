package load

import (
	"cmp"
	"context"

	"example.com/chanio"
)

// chanio connects a client of the library, or joins a group.
func (d *dialer) chanio(ctx context.Context) (link, error) {
	o := d.Options()
	o.TLS = d.tls
	if d.Datagrams() && d.Multicasts() {
		_, ifi, err := d.Group()
		if err != nil {
			return nil, err
		}
		o.Multicast.Interface = ifi
		conn, err := chanio.ListenMulticast(ctx, d.Network(), d.Address, o)
		if err != nil {
			return nil, err
		}
		return groupLink{conn}, nil
	}
	s, err := chanio.Dial(ctx, d.Network(), d.Address, o)
	if err != nil {
		return nil, err
	}
	l := &sessionLink{session: s, outgoing: d.outgoing(), whole: d.Framing != "" || d.Datagrams(), batch: d.Batch}
	if d.Datagrams() {
		l.woken = make(chan struct{}, 1)
	}
	return l, nil
}

// A sessionLink is a session dialed with chanio.
type sessionLink struct {
	*outgoing
	session *chanio.Session
	whole   bool          // messages go one by one: the session keeps their boundaries
	batch   bool          // in batches
	slab    []byte        // memory for the next datagrams
	woken   chan struct{} // by wake; nil for streams
}

func (l *sessionLink) send(n int) error {
	if l.batch {
		b := chanio.NewBatch()
		l.each(n, l.whole, func(m []byte) error {
			b.Append(m)
			return nil
		})
		return l.session.PutBatch(b)
	}
	return l.each(n, l.whole, func(m []byte) error {
		if l.numbered != nil {
			m = l.keep(m)
		}
		return l.session.Put(m)
	})
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

func (l *sessionLink) ended() error { return cmp.Or(l.session.Err(), errEnded) }

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
type groupLink struct{ *chanio.PacketConn }

func (l groupLink) send(int) error { return nil }

func (l groupLink) receive(yield func([]byte, bool) bool) error {
	for p := range l.Recv() {
		if !yield(p.Data, true) {
			return nil
		}
	}
	return errEnded
}

func (l groupLink) wake() {}

func (l groupLink) close() { l.Abort(nil) }
