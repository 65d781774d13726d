//go:build !linux

package sock

import (
	"net"
	"time"
)

// A Writer writes through the net.Conn, which gathers with writev(2) or WSASend.
type Writer struct{ conn net.Conn }

// NewWriter returns a Writer to conn.
func NewWriter(conn net.Conn, _ *Socket) *Writer { return &Writer{conn} }

// groupSize is how much one call writes.
const groupSize = 64 << 10

// Write writes parts, checks its progress at intervals of look, and reports to
// f.
func (w *Writer) Write(parts [][]byte, _ bool, look time.Duration, f Flow) (int, error) {
	return WriteParts(w.conn, parts, groupSize, look, f)
}

// TriesWrites says that TryWrite may write something.
const TriesWrites = false

// TryWrite writes nothing: it leaves everything to Write.
func (w *Writer) TryWrite([][]byte, bool) (int, error) { return 0, nil }

// Failure returns nil: the reason is unknown here.
func (w *Writer) Failure() error { return nil }
