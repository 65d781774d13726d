//go:build unix && !linux

package chanio

import (
	"net"
	"syscall"
)

// rawWriter writes through the net.Conn, which gathers with writev(2).
type rawWriter struct{ conn net.Conn }

func (w *rawWriter) init(conn net.Conn, _ syscall.RawConn) { w.conn = conn }

func (w *rawWriter) write(parts [][]byte, s *Session) (int, error) {
	return writeBuffers(w.conn, parts, blockSize, s)
}

// writeNow leaves all to write.
func (w *rawWriter) writeNow([]byte) (int, error) { return 0, nil }

func recvNow(fd int, p []byte) (int, error) { return syscall.Read(fd, p) }
