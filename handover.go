package chanio

import "net"

// A Handover is a connection that another protocol has begun, such as an
// upgrade by an HTTP server, and that goes on as a session. It is a net.Conn
// only in order to pass: [NewSession] takes one, the net.Listener of [Serve]
// may accept one, and a dial function may return one.
//
// A Handover is not modified once it was handed over.
type Handover struct {
	// Conn is what the session goes on with. What NewSession says of its conn
	// holds: a socket has the fast paths, a *tls.Conn its TLS.
	net.Conn
	// Buffered was read from Conn already and is the beginning of the
	// session's input. It belongs to the session.
	Buffered []byte
	// Framing is the session's, in place of [Options].Framing, for a
	// connection that has agreed on one. If nil, that of the options.
	Framing Framing
	// Reader is the session's reader under a [SessionFraming]. If nil, it is
	// made by NewReader.
	Reader FrameReader
}

// handedOver returns the Handover that tr came with, or one that is empty.
func handedOver(tr transport) Handover {
	var t *stream
	switch tr := tr.(type) {
	case *stream:
		t = tr
	case *givenTLS:
		t = &tr.stream
	}
	if t == nil || t.handed == nil {
		return Handover{}
	}
	h := *t.handed
	t.handed = nil
	return h
}

// unwrap returns the connection of conn if it is a Handover, and the Handover.
func unwrap(conn net.Conn) (net.Conn, *Handover) {
	if h, ok := conn.(*Handover); ok {
		return h.Conn, h
	}
	return conn, nil
}

// framedBy returns set with another framing. The sessions of one that agree on
// one framing share it.
func (set *settings) framedBy(f Framing) *settings {
	if f == nil || sameFraming(f, set.Framing) {
		return set
	}
	if other := set.other.Load(); other != nil && sameFraming(f, other.Framing) {
		return other
	}
	other := &settings{Options: set.Options}
	other.Framing, other.codec = f, codecOf(f)
	set.other.Store(other)
	return other
}
