package chanio

import "example.com/chanio/internal/buffer"

// A Codec is a framing as sessions use it.
type Codec = codec

// CodecOf returns the codec of f.
func CodecOf(f Framing) Codec { return codecOf(f) }

// IsUsers reports whether c is the codec of a user's framing.
func IsUsers(c Codec) bool {
	_, ok := c.(userFraming)
	return ok
}

var (
	Accepts = codec.accepts
	Scan    = codec.scan
	Final   = codec.final
)

// HeaderSize returns the size of p's header if that is fixed.
func (f LengthPrefix) HeaderSize() int { return f.size() }

// An Inbox cuts input into messages, as a session's reader does.
type Inbox struct{ in inbox }

// NewInbox returns an empty inbox.
func NewInbox(f Framing, limit int, copies bool) *Inbox {
	return &Inbox{inbox{codec: codecOf(f), limit: limit, copies: copies}}
}

// Read takes what one read of at most max bytes of p would, and returns how
// many bytes that were.
func (i *Inbox) Read(p []byte, max int) (n int, err error) {
	w := i.in.window()
	buf := w.buf
	if buf == nil {
		buf = buffer.Get(w.to)
	}
	n = copy(buf.B[w.from:w.to], p[:min(len(p), max)])
	return n, i.in.took(w, buf, n)
}

// More reports whether Again may find messages without another read.
func (i *Inbox) More() bool { return i.in.more }

func (i *Inbox) Again() error { return i.in.again() }

// Final ends the input.
func (i *Inbox) Final() error { return i.in.final() }

// Batch returns the messages that were found, or nil.
func (i *Inbox) Batch() *Batch {
	if i.in.out.buf == nil {
		return nil
	}
	return &Batch{batchMemory: i.in.out}
}

// Message returns the receiver's copy of message n of Batch.
func (i *Inbox) Message(n int) []byte { return i.in.message(n) }

// Len returns how many messages were found.
func (i *Inbox) Len() int { return len(i.in.out.buf.Spans) }

// Drop frees the messages that were found.
func (i *Inbox) Drop() {
	i.in.out.buf.Free()
	i.Forget()
}

// Forget makes the inbox forget Batch.
func (i *Inbox) Forget() { i.in.out = batchMemory{} }

// Part returns how much of an incomplete message has arrived, and how much
// memory holds it.
func (i *Inbox) Part() (have, held int) {
	held = len(i.in.short)
	if i.in.long != nil {
		held = len(i.in.long.B)
	}
	return i.in.have, held
}

func (i *Inbox) Free() { i.in.free() }

// PutFor and TakeFor hand b to the session with that ID, and to its writer.
func (b *Batch) PutFor(id ID) error  { return b.put(id) }
func (b *Batch) TakeFor(id ID) error { return b.take(id) }
func (b *Batch) Recycle()            { b.recycle() }

// Wire returns b's memory if it holds what c would write.
func (b *Batch) Wire(c Codec) ([]byte, bool) { return b.wire(c) }

// Memory returns where b's messages begin.
func (b *Batch) Memory() *byte { return &b.buf.B[0] }

// Exact reports whether c would make of message the n bytes that it was made of.
func Exact(c Codec, message []byte, n int) bool { return c.exact(message, n) }

// ScanRun is what c finds in one call at the start of buf; ok is false if it looks for
// one message at a time only.
func ScanRun(c Codec, buf []byte, most, seen, limit int) (messages [][]byte, n, size int, exact, ok bool) {
	runs, ok := c.(runScanner)
	if !ok {
		return nil, 0, 0, false, false
	}
	spans, n, size, exact := runs.scanRun(buf, nil, most, seen, limit)
	for _, at := range spans {
		messages = append(messages, buf[at.Start:at.End])
	}
	return messages, n, size, exact, true
}
