package chanio

import (
	"unsafe"

	"example.com/chanio/internal/buffer"
)

const (
	// shortRest is the size below which the beginning of a message waits for more in
	// memory of its own size, and not in a buffer.
	shortRest = 4 << 10
	// claimFactor is how many times what has arrived of a message its memory may be:
	// a header that claims a large one costs nothing until its bytes arrive.
	claimFactor = 16
	// maxCut bounds the messages that one batch is cut into, and so its index.
	maxCut = 8 << 10
)

// An inbox is what a session's reader has read and not delivered: the messages
// that are whole, cut and in one piece of memory, and the beginning of one that is
// not, of which it holds no more than has arrived, and memory in proportion to
// that. A raw stream's messages are what each read returned.
//
// Only the reader uses it.
type inbox struct {
	codec  codec // nil for a raw stream
	limit  int   // of a message
	copies bool  // messages are copied for their receivers: see deliver

	out  batchMemory // the messages
	slab []byte      // where the next small ones go that are copied

	// The beginning of a message.
	short []byte         // it, if it is short
	long  *buffer.Buffer // else its memory, of which it takes the first have bytes
	have  int            // its length
	seen  int            // how much of it was scanned
	need  int            // how long it must be for another scan to be of use; 0: unknown
	exact bool           // long is for that message alone, whose size is known
	more  bool           // it may have a whole message
}

// A window is where a read is to put what it takes: into buf, or into one that it
// gets when there is something, from and up to an index.
type window struct {
	buf      *buffer.Buffer
	from, to int
}

// window returns where the next read goes: behind the beginning of a message.
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

// took takes what a read has put into w, n bytes in the memory buf, and cuts it.
// What is whole before an error is in out.
func (in *inbox) took(w window, buf *buffer.Buffer, n int) error {
	if in.codec == nil {
		buf.Spans = append(buf.Spans, buffer.Span{Start: 0, End: uint32(n)})
		in.out = batchMemory{buf: buf, used: n, size: n}
		return nil
	}
	copy(buf.B[:w.from], in.short) // nothing if the beginning is there already
	return in.cut(buf, w.from+n)
}

// again cuts what more says may be a message.
func (in *inbox) again() error {
	buf := in.long
	if buf == nil {
		buf = buffer.Get(in.have)
		copy(buf.B, in.short)
	}
	return in.cut(buf, in.have)
}

// cut cuts the first end bytes of buf into messages, and keeps the rest. buf is the
// inbox's from then on.
func (in *inbox) cut(buf *buffer.Buffer, end int) error {
	rest, err := in.scan(buf, end)
	in.long, in.exact = nil, false
	if err != nil {
		rest = end // there is no use for it
	}
	owned := in.out.buf != nil && in.out.buf == buf
	if !in.keep(buf, rest, end, owned) && !owned {
		buf.Free()
	}
	return err
}

// scan finds the whole messages in the first end bytes of buf, in out, and returns
// where the rest begins.
func (in *inbox) scan(buf *buffer.Buffer, end int) (rest int, err error) {
	out := batchMemory{buf: buf, codec: in.codec}
	var copied *Batch // once a message is not a part of buf
	seen := in.seen
	in.seen, in.more = 0, false
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
				in.need = 0 // one more byte is what anything needs
			}
			break
		}
		seen, in.need = 0, 0
		if m == nil { // what was taken makes no message
			rest += n
			continue
		}
		start, inside := indexIn(p, m)
		if !inside && copied == nil {
			copied = copyOf(&out)
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
	case len(buf.Spans) > 0:
		in.out = out
	}
	return rest, err
}

// copyOf returns a batch of the messages of m so far, which m has no more.
func copyOf(m *batchMemory) *Batch {
	b := NewBatch()
	for _, s := range m.buf.Spans {
		b.Append(m.buf.B[s.Start:s.End])
	}
	m.buf.Spans = m.buf.Spans[:0]
	return b
}

// indexIn returns where the message m is in p, or that it is elsewhere.
func indexIn(p, m []byte) (i int, inside bool) {
	if len(m) == 0 {
		return 0, true
	}
	i = int(uintptr(unsafe.Pointer(unsafe.SliceData(m))) - uintptr(unsafe.Pointer(unsafe.SliceData(p))))
	return i, i >= 0 && i+len(m) <= len(p)
}

// keep makes buf.B[from:end] the beginning of the next message. It reports whether
// it goes on using buf, which it must not if out has it.
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
	own := in.exact && in.copies // the message will be given away with its memory
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

// ownFrom is the size from which a message is read into memory of its own: what is
// copied for its receiver, if it is not, gains by that before what is in a batch.
func (in *inbox) ownFrom() int {
	if in.copies {
		return shortRest
	}
	return blockSize
}

// final makes a message of what is left at the end of the stream, or says why it is
// none.
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

// free gives up what was not delivered.
func (in *inbox) free() {
	free(in.out.buf)
	free(in.long)
	in.out, in.long, in.short = batchMemory{}, nil, nil
}
