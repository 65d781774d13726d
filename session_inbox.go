package chanio

import (
	"unsafe"

	"example.com/chanio/internal/buffer"
)

const (
	// shortRest is the size below which the beginning of a message waits for
	// the rest in memory of its own size rather than in a buffer.
	shortRest = 4 << 10
	// claimFactor bounds a message's memory to this many times what has arrived
	// of it: a header that announces a large message costs nothing until its
	// bytes arrive.
	claimFactor = 16
	// maxCut bounds the messages cut into one batch, and so the size of its
	// index.
	maxCut = 8 << 10
)

// An inbox is what a session's reader has read and not delivered: whole
// messages, cut and in one piece of memory, and the beginning of an incomplete
// one. It holds no more of that than has arrived, in memory proportional to it.
// On a raw stream a message is what one read returned.
//
// Only the reader uses it.
type inbox struct {
	codec  codec // nil for a raw stream
	limit  int   // of a message
	copies bool  // messages are copied for their receivers: see deliver

	out  batchMemory // the messages
	slab []byte      // where the next small messages are copied

	// The beginning of a message.
	short []byte         // its bytes, if short
	long  *buffer.Buffer // otherwise its memory, of which it takes the first have bytes
	have  int            // its length
	seen  int            // how much of it has been scanned
	need  int            // the length at which another scan is useful; 0: unknown
	exact bool           // long is for this message alone, whose size is known
	more  bool           // it may hold a whole message
	late  error          // the error of the read that returned what is held; see fill
}

// A window is where a read puts its data: into buf, or into a buffer obtained
// once data is available, between two indexes.
type window struct {
	buf      *buffer.Buffer
	from, to int
}

// window returns where the next read goes: after the beginning of a message.
func (in *inbox) window() window {
	switch {
	case in.long == nil:
		return window{nil, in.have, blockSize}
	case in.exact:
		return window{in.long, in.have, in.need}
	case in.have < blockSize:
		return window{in.long, in.have, blockSize}
	}
	return window{in.long, in.have, len(in.long.B)}
}

// took takes the n bytes that a read put into w, in the memory buf, and cuts
// them. Whole messages before an error are in out.
func (in *inbox) took(w window, buf *buffer.Buffer, n int) error {
	return in.cut(buf, w.from, w.from+n)
}

// again cuts what may hold another message, as more says.
func (in *inbox) again() error {
	buf := in.long
	if buf == nil {
		buf = buffer.Get(in.have)
		copy(buf.B, in.short)
	}
	return in.cut(buf, 0, in.have)
}

// cut cuts the first end bytes of buf into messages and keeps the rest. The first
// from of them are copied from short, unless they are there already. buf then
// belongs to the inbox.
func (in *inbox) cut(buf *buffer.Buffer, from, end int) error {
	if in.codec == nil {
		buf.Spans = append(buf.Spans, buffer.Span{Start: 0, End: uint32(end)})
		in.out = batchMemory{buf: buf, used: end, size: end}
		return nil
	}
	copy(buf.B[:from], in.short) // nothing if the beginning is in long
	rest, err := in.scan(buf, end)
	in.long, in.exact = nil, false
	if err != nil {
		rest = end // the rest is useless
	}
	owned := in.out.buf != nil && in.out.buf == buf
	if !in.keep(buf, rest, end, owned) && !owned {
		buf.Free()
	}
	return err
}

// scan puts the whole messages in the first end bytes of buf into out, and
// returns where the rest begins.
func (in *inbox) scan(buf *buffer.Buffer, end int) (rest int, err error) {
	in.out = batchMemory{buf: buf, codec: in.codec}
	out := &in.out    // not on the stack: see receive
	var copied *Batch // used once a message is not part of buf
	seen := in.seen
	in.seen, in.more = 0, false
	if runs, ok := in.codec.(runScanner); ok && end >= in.need {
		var exact bool // scan stops at maxCut
		buf.Spans, rest, out.size, exact = runs.scanRun(buf.B[:end], buf.Spans, maxCut-1, seen, in.limit)
		out.mixed = !exact
		if rest > 0 {
			seen, in.need = 0, 0
		}
	}
	for rest < end && end >= in.need {
		p := buf.B[rest:end]
		m, n, need, scanErr := in.codec.scan(p, seen, in.limit)
		if scanErr != nil {
			err = scanErr
			break
		}
		if n == 0 {
			in.seen = len(p)
			in.need = need
			if need <= len(p)+1 {
				in.need = 0 // any scan needs one more byte
			}
			break
		}
		seen, in.need = 0, 0
		if m == nil { // the bytes taken make no message
			rest += n
			continue
		}
		start, inside := indexIn(p, m)
		if !inside && copied == nil {
			copied = copyOf(out)
		}
		if copied != nil {
			copied.Append(m)
		} else {
			start += rest
			buf.Spans = append(buf.Spans, buffer.Span{Start: uint32(start), End: uint32(start + len(m))})
			out.size += len(m)
			out.mixed = out.mixed || !in.codec.exact(m, n)
		}
		rest += n
		if len(buf.Spans) == maxCut || copied != nil && copied.Size() >= blockSize {
			in.more = rest < end
			break
		}
	}
	out.used = rest
	switch {
	case copied != nil:
		in.out = copied.batchMemory
	case len(buf.Spans) == 0:
		in.out = batchMemory{}
	}
	return rest, err
}

// copyOf moves the messages of m so far to a new batch, and returns it.
func copyOf(m *batchMemory) *Batch {
	b := NewBatch()
	for _, s := range m.buf.Spans {
		b.Append(m.buf.B[s.Start:s.End])
	}
	m.buf.Spans = m.buf.Spans[:0]
	return b
}

// indexIn returns where in p the message m is, or that it is elsewhere.
func indexIn(p, m []byte) (i int, inside bool) {
	if len(m) == 0 {
		return 0, true
	}
	i = int(uintptr(unsafe.Pointer(unsafe.SliceData(m))) - uintptr(unsafe.Pointer(unsafe.SliceData(p))))
	return i, i >= 0 && i+len(m) <= len(p)
}

// keep makes buf.B[from:end] the beginning of the next message. It reports
// whether buf stays in use, which is not allowed if out owns it.
func (in *inbox) keep(buf *buffer.Buffer, from, end int, owned bool) bool {
	p := buf.B[from:end]
	in.have = len(p)
	if len(p) < shortRest {
		in.keepShort(p)
		return false
	}
	in.keepShort(nil)
	room := in.need
	in.exact = room > in.ownFrom() && room/claimFactor <= len(p)
	if !in.exact {
		room = max(blockSize, len(p)+len(p)/2)
	}
	own := in.exact && in.copies // the message is handed out with its memory
	if !owned && from == 0 && len(buf.B) >= room && (!own || len(buf.B) == room) {
		in.long = buf
		return true
	}
	switch {
	case own:
		in.long = buffer.Own(room)
	case in.exact:
		in.long = buffer.Get(room)
	default:
		in.long = buffer.Get(max(blockSize, 2*len(p)))
	}
	copy(in.long.B, p)
	return false
}

// keepShort makes p, which is short, the beginning.
func (in *inbox) keepShort(p []byte) {
	if len(p) == 0 && cap(in.short) > smallMessage {
		in.short = nil
		return
	}
	in.short = append(in.short[:0], p...)
}

// ownFrom is the size from which a message is read into its own memory. A
// message that would otherwise be copied for its receiver gains from that at a
// smaller size than one in a batch.
func (in *inbox) ownFrom() int {
	if in.copies {
		return shortRest
	}
	return blockSize
}

// final makes a message of what is left at the end of the stream, or says why
// it is not one.
func (in *inbox) final() error {
	if _, stateful := in.codec.(*framedState); in.codec == nil || in.have == 0 && !stateful {
		return nil
	}
	p := in.short
	if in.long != nil {
		p = in.long.B[:in.have]
	}
	m, err := in.codec.final(p)
	if m == nil || err != nil {
		return err
	}
	b := NewBatch()
	b.Append(m)
	in.out = b.batchMemory
	return nil
}

// free releases what was not delivered.
func (in *inbox) free() {
	free(in.out.buf)
	free(in.long)
	in.out, in.long, in.short = batchMemory{}, nil, nil
}
