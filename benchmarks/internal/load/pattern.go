package load

import (
	"bytes"
	"encoding/binary"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"example.com/chanio/benchmarks/internal/endpoint"
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
func newPattern(c Config) (*pattern, error) {
	body := make([]byte, c.Size)
	for i := range body {
		body[i] = byte('a' + i%26)
	}
	message := body
	switch {
	case c.Endpoint.Net == endpoint.WS:
		return webSocketPattern(c, body)
	case c.Client == "chanio":
	case c.Framing == endpoint.Prefix:
		message = append(binary.BigEndian.AppendUint32(nil, uint32(c.Size)), body...)
	case c.Framing == endpoint.Lines:
		message = append(body, '\n')
	}
	r := repeat(c, message)
	return &pattern{r, r}, nil
}

// webSocketPattern masks what is sent. A deflated message comes back in as many
// bytes as the server's library needs.
func webSocketPattern(c Config, body []byte) (*pattern, error) {
	frame := ws.NewBinaryFrame(body)
	back := repeat(c, ws.MustCompileFrame(frame))
	if c.Endpoint.Deflate {
		var err error
		if frame, err = wsflate.CompressFrame(frame); err != nil {
			return nil, err
		}
	}
	frame = ws.MaskFrameWith(frame, [4]byte{1, 2, 3, 4})
	return &pattern{repeat(c, ws.MustCompileFrame(frame)), back}, nil
}

// repeat returns at least the messages in flight, and more than one read takes.
func repeat(c Config, message []byte) repeated {
	return repeated{len(message), bytes.Repeat(message, max(c.Messages, readSize/len(message)+2))}
}

// messages returns n messages.
func (r repeated) messages(n int) []byte { return r.bytes[:n*r.size] }

// follows reports whether b is what must follow part bytes of a message.
func (r repeated) follows(part int, b []byte) bool {
	return bytes.Equal(b, r.bytes[part:part+len(b)])
}

// A frameCounter counts the WebSocket frames of a server in a stream. Servers
// here send each message in one frame.
type frameCounter struct {
	header []byte // of a frame whose header is incomplete
	body   int    // bytes of the current frame still to come
}

// count returns how many frames b completes.
func (f *frameCounter) count(b []byte) (n int) {
	for len(b) > 0 {
		// Short frames in one piece, which is nearly all: a client that takes
		// longer would hold up its server.
		if f.body == 0 && len(f.header) == 0 {
			for len(b) > 2 && b[1] < 126 && len(b) >= 2+int(b[1]) {
				b = b[2+int(b[1]):]
				n++
			}
			if len(b) == 0 {
				break
			}
		}
		if f.body > 0 {
			k := min(f.body, len(b))
			b = b[k:]
			if f.body -= k; f.body == 0 {
				n++
			}
			continue
		}
		f.header = append(f.header, b[0])
		b = b[1:]
		if len(f.header) < 2 {
			continue
		}
		size, long := int(f.header[1]&0x7f), 2
		switch size {
		case 126:
			long = 4
		case 127:
			long = 10
		}
		if len(f.header) < long {
			continue
		}
		for i, c := range f.header[2:] {
			if i == 0 {
				size = 0
			}
			size = size<<8 | int(c)
		}
		f.header = f.header[:0]
		if f.body = size; size == 0 {
			n++
		}
	}
	return n
}
