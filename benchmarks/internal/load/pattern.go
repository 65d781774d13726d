package load

import (
	"bytes"
	"encoding/binary"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"example.com/chanio/benchmarks/internal/bench"
)

// A pattern is what a client sends, the same message over and over, and what
// comes back.
type pattern struct {
	sent, back repeated
}

// repeated is a message on the wire, many times.
type repeated struct {
	size  int // of one
	bytes []byte
}

// readSize is the most that a stream client reads at a time.
const readSize = 64 << 10

// newPattern returns the pattern of clients. If the client's library frames
// messages, it is without frames.
func newPattern(c bench.Config) (*pattern, error) {
	body := c.Message()
	message := body
	switch {
	case c.Net == bench.WS:
		return webSocketPattern(c, body)
	case c.Client == "chanio":
	case c.Framing == bench.Prefix:
		message = append(binary.BigEndian.AppendUint32(nil, uint32(c.Size)), body...)
	case c.Framing == bench.Lines:
		message = append(body, '\n')
	}
	r := repeat(c, message)
	return &pattern{r, r}, nil
}

// webSocketPattern masks what is sent. A deflated message comes back in as many
// bytes as the server's library needs.
func webSocketPattern(c bench.Config, body []byte) (*pattern, error) {
	frame := ws.NewBinaryFrame(body)
	back := repeat(c, ws.MustCompileFrame(frame))
	if c.Deflate {
		var err error
		if frame, err = wsflate.CompressFrame(frame); err != nil {
			return nil, err
		}
	}
	frame = ws.MaskFrameWith(frame, [4]byte{1, 2, 3, 4})
	return &pattern{repeat(c, ws.MustCompileFrame(frame)), back}, nil
}

// repeat returns at least the messages in flight, and more than one read takes.
func repeat(c bench.Config, message []byte) repeated {
	return repeated{len(message), bytes.Repeat(message, max(c.Messages, readSize/len(message)+2))}
}

// messages returns n messages.
func (r repeated) messages(n int) []byte { return r.bytes[:n*r.size] }

// follows reports whether b is what must follow part bytes of a message.
func (r repeated) follows(part int, b []byte) bool {
	return bytes.Equal(b, r.bytes[part:part+len(b)])
}

// outgoing makes what one client sends.
type outgoing struct {
	sent     repeated
	numbered []byte // the next datagram, which begins with its number; nil for streams
	next     uint64 // its number
}

func (d *dialer) outgoing() *outgoing {
	o := &outgoing{sent: d.pattern.sent}
	if d.Datagrams() {
		o.numbered = bytes.Clone(o.sent.messages(1))
	}
	return o
}

// each calls do for n messages one by one, if so asked, or for all at once. A
// numbered message is valid until do returns.
func (o *outgoing) each(n int, single bool, do func([]byte) error) error {
	if !single {
		return do(o.sent.messages(n))
	}
	for range n {
		m := o.sent.messages(1)
		if o.numbered != nil {
			m = o.numbered
			binary.BigEndian.PutUint64(m, o.next)
			o.next++
		}
		if err := do(m); err != nil {
			return err
		}
	}
	return nil
}

// A frameCounter counts the WebSocket frames of a server in a stream. Servers
// here send each message in one frame.
type frameCounter struct {
	body   int    // bytes of a frame still to come
	header []byte // begun; nil if none is
}

// count returns how many frames end in b.
func (f *frameCounter) count(b []byte) (n int) {
	if f.header != nil {
		b = append(f.header, b...)
		f.header = nil
	}
	for f.body <= len(b) {
		if f.body > 0 {
			b = b[f.body:]
			n++
		}
		if f.body = frameSize(b); f.body == 0 {
			if len(b) > 0 {
				f.header = bytes.Clone(b)
			}
			return n
		}
	}
	f.body -= len(b)
	return n
}

// frameSize returns the size of a frame that begins with b, with its header; 0
// means that more bytes are needed.
func frameSize(b []byte) int {
	switch {
	case len(b) < 2:
	case b[1] < 126:
		return 2 + int(b[1])
	case b[1] == 126 && len(b) >= 4:
		return 4 + int(binary.BigEndian.Uint16(b[2:]))
	case b[1] == 127 && len(b) >= 10:
		return 10 + int(binary.BigEndian.Uint64(b[2:]))
	}
	return 0
}
