package ws

import (
	"io"

	"github.com/gobwas/ws"
)

// readFrame reads a frame of the server under test. Payload is nil if not even
// the header arrived.
func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}
