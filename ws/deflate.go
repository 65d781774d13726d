package ws

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"

	"example.com/chanio"
)

// permessage-deflate (RFC 7692) without context takeover: every message is
// deflated by itself, so that a hub's message is deflated once for all, and a
// session that waits holds no window.

// tail is what every deflated message ends with and does not send (RFC 7692,
// 7.2.1); final, which follows it, is an empty last block, so that the inflater
// sees the end.
const (
	tail  = "\x00\x00\xff\xff"
	final = "\x01\x00\x00\xff\xff"
)

// deflateOverhead is by how much a deflated message may be longer than it is
// inflated, a stored block of 5 bytes for each 64 KiB, and as much again for
// peers that flush more often.
func deflateOverhead(limit int) int { return limit/1000 + 1<<10 }

// A deflated is a message that was deflated, and the deflater, which a pool
// shares: there are as many as messages are framed at the same time.
type deflated struct {
	out []byte
	w   *flate.Writer // it writes to out
}

var deflaters = sync.Pool{New: func() any {
	d := new(deflated)
	d.w, _ = flate.NewWriter(d, flate.BestSpeed) // an error would be an unknown level
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

// deflate returns message as it goes out, until free. Resetting the fastest
// level costs half of what the stateless deflater does to clear its tables.
func deflate(message []byte) *deflated {
	d := deflaters.Get().(*deflated)
	d.w.Reset(d)
	d.w.Write(message) // only d's Write could fail
	d.w.Flush()
	d.out = bytes.TrimSuffix(d.out, []byte(tail))
	return d
}

// An inflater inflates a message; a pool shares them.
type inflater struct {
	in  messageReader
	out io.ReadCloser
}

var inflaters = sync.Pool{New: func() any { return &inflater{out: flate.NewReader(nil)} }}

// inflate returns the message that was deflated to p, in new memory, which grows
// with what comes out and not past limit.
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
	for {
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
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		}
	}
}

// A messageReader reads p and then rest. It is an io.ByteReader, so that the
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
