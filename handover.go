package chanio

import "net"

// A Handover is a connection that another protocol began, for example with an
// HTTP upgrade, and that continues as a session. It is a net.Conn only so that
// it can be passed along: [NewSession] takes one, the net.Listener of [Serve]
// may accept one, and a dial function may return one.
//
// A Handover must not be modified once it has been handed over.
type Handover struct {
	// Conn is the connection that the session continues. NewSession's rules for
	// its conn apply: a socket has the fast paths, a *tls.Conn its TLS.
	net.Conn
	// Buffered was already read from Conn and is the start of the session's
	// input. It belongs to the session.
	Buffered []byte
	// Framing replaces [Options].Framing, for a connection that has negotiated
	// one. If nil, the framing of the options is used.
	Framing Framing
	// Reader is the session's reader under a [SessionFraming]. If nil,
	// NewReader makes one.
	Reader FrameReader
}

// handedOver returns the Handover that tr came with, or an empty one.
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

// unwrap returns the connection inside conn and the Handover, if conn is one.
func unwrap(conn net.Conn) (net.Conn, *Handover) {
	if h, ok := conn.(*Handover); ok {
		return h.Conn, h
	}
	return conn, nil
}

// framedBy returns set with another framing. Sessions of one listener or client
// that negotiated the same framing share the result.
func (set *settings) framedBy(f Framing) *settings {
	if f == nil || sameFraming(f, set.Framing) {
		return set
	}
	if other := set.other.Load(); other != nil && sameFraming(f, other.Framing) {
		return other
	}
	other := &settings{Options: set.Options, began: set.began}
	other.Framing, other.codec = f, codecOf(f)
	set.other.Store(other)
	return other
}
