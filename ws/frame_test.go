package ws

import (
	"errors"
	"io"

	"github.com/gobwas/ws"
)

// maxTestFrame is larger than any frame that the tests read.
const maxTestFrame = 1 << 20

// readFrame reads a frame that a server has sent.
func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	if f.Header.Length > maxTestFrame {
		return f, errors.New("the frame is larger than any that is sent")
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}
