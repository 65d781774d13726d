package ws

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"

	"example.com/chanio"
)

// This file implements permessage-deflate (RFC 7692) without context takeover.
// Every message is deflated on its own, so a hub's message is deflated once for
// all, and a waiting session holds no window.

// Every deflated message ends with tail, which is not sent (RFC 7692, section
// 7.2.1). final follows it when inflating: an empty last block that lets the
// inflater see the end.
const (
	tail  = "\x00\x00\xff\xff"
	final = "\x01\x00\x00\xff\xff"
)

const (
	// window is how far back a deflated message may refer.
	window = 32 << 10
	// maxFinals is how many blocks of a message may be marked as final. Each costs
	// a copy of the window, and a block may be as small as two bytes.
	maxFinals = 1 << 10
)

var errManyFinals = fmt.Errorf("more than %d final blocks", maxFinals)

// deflateOverhead is how much longer a message may be deflated than inflated: a
// stored block of 5 bytes per 64 KiB, with a generous margin for peers that
// flush more often.
func deflateOverhead(limit int) int { return limit/1000 + 1<<10 }

// A deflated is a deflated message and its deflater, which comes from a shared
// pool: there are as many as messages being framed at the same time.
type deflated struct {
	out []byte
	w   *flate.Writer // writes to out
}

var deflaters = sync.Pool{New: func() any {
	d := new(deflated)
	d.w, _ = flate.NewWriter(d, flate.BestSpeed) // fails only for an unknown level
	return d
}}

// maxPooled is how much memory is kept for the next message.
const maxPooled = 64 << 10

func (d *deflated) Write(p []byte) (int, error) {
	d.out = append(d.out, p...)
	return len(p), nil
}

func (d *deflated) free() {
	d.out = d.out[:0]
	if cap(d.out) > maxPooled {
		d.out = nil
	}
	deflaters.Put(d)
}

// deflate returns message deflated, valid until free. Resetting a writer at the
// fastest level costs half of what the stateless deflater spends on clearing
// its tables.
func deflate(message []byte) *deflated {
	d := deflaters.Get().(*deflated)
	d.w.Reset(d)
	d.w.Write(message) // only d.Write could fail
	d.w.Flush()
	d.out = bytes.TrimSuffix(d.out, []byte(tail))
	return d
}

// An inflater inflates a message. Inflaters are pooled.
type inflater struct {
	in  messageReader
	out io.ReadCloser
}

var inflaters = sync.Pool{New: func() any { return &inflater{out: flate.NewReader(nil)} }}

// inflate returns the message deflated in p, in new memory that grows with the
// output, up to limit. Blocks may follow one that is marked as final (RFC 7692,
// section 7.2.1).
func inflate(p []byte, limit int) ([]byte, error) {
	i := inflaters.Get().(*inflater)
	defer func() {
		i.in = messageReader{}
		inflaters.Put(i)
	}()
	i.in = messageReader{p, tail + final}
	if err := i.out.(flate.Resetter).Reset(&i.in, nil); err != nil {
		return nil, err
	}
	out := make([]byte, 0, min(4*len(p)+64, limit+1))
	for finals := 0; ; {
		if len(out) == cap(out) {
			grown := make([]byte, len(out), min(2*cap(out), limit+1))
			copy(grown, out)
			out = grown
		}
		n, err := i.out.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case len(out) > limit:
			return nil, chanio.ErrMessageTooLarge
		case errors.Is(err, io.EOF) && len(i.in.p) > 0: // there is more after a final block
			if finals++; finals > maxFinals {
				return nil, errManyFinals
			}
			if err := i.out.(flate.Resetter).Reset(&i.in, out[max(len(out)-window, 0):]); err != nil {
				return nil, err
			}
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		}
	}
}

// A messageReader reads p and then rest. It is an io.ByteReader, so the
// inflater needs no buffer.
type messageReader struct {
	p    []byte
	rest string
}

func (r *messageReader) Read(b []byte) (int, error) {
	n := copy(b, r.p)
	r.p = r.p[n:]
	if n > 0 {
		return n, nil
	}
	n = copy(b, r.rest)
	r.rest = r.rest[n:]
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (r *messageReader) ReadByte() (byte, error) {
	var b [1]byte
	_, err := r.Read(b[:])
	return b[0], err
}
