package sock

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// A Flow is what a write needs from its sender.
type Flow interface {
	// Wait is called when the write is about to wait for the peer.
	Wait()
	// Progress is called when the kernel has taken n more bytes.
	Progress(n int)
	// Over reports whether the write is no longer wanted.
	Over() bool
}

// rawLimit bounds what is written by a system call of which the scheduler is not
// told: while the call runs, nothing can stop its thread.
const rawLimit = 64 << 10

// WriteParts writes parts through conn, to a socket in groups of limit bytes. A
// waiting write to a socket is interrupted now and then to see how much of it was
// taken. Otherwise its progress would show only at its end, and a slow peer
// would look like a stalled one. look is how often; 0 means never.
func WriteParts(conn net.Conn, parts [][]byte, limit int, look time.Duration, f Flow) (sent int, err error) {
	if !resumable(conn) {
		return writeEach(conn, parts, limit, f)
	}
	var group net.Buffers
	size := 0
	flush := func() error {
		n, err := writeGroup(conn, &group, look, f)
		sent += n
		if err == nil && n < size {
			err = io.ErrShortWrite
		}
		group, size = nil, 0
		return err
	}
	for _, p := range parts {
		for len(p) > 0 {
			piece := p[:min(len(p), limit-size)]
			group, size, p = append(group, piece), size+len(piece), p[len(piece):]
			if size == limit {
				if err := flush(); err != nil {
					return sent, err
				}
			}
		}
	}
	if size > 0 {
		err = flush()
	}
	return sent, err
}

// writeEach writes parts one after another, each limit bytes at a time, so that each
// Write that conn completes is progress. net.Buffers would pass over the Write of a
// type that embeds a socket.
func writeEach(conn net.Conn, parts [][]byte, limit int, f Flow) (sent int, err error) {
	for _, p := range parts {
		for len(p) > 0 {
			piece := p[:min(len(p), limit)]
			f.Wait()
			n, err := conn.Write(piece)
			sent += n
			if n > 0 {
				f.Progress(n)
			}
			if err == nil && n < len(piece) {
				err = io.ErrShortWrite
			}
			if err != nil {
				return sent, err
			}
			p = p[len(piece):]
		}
	}
	return sent, nil
}

// writeGroup writes group, and checks its progress unless look is 0.
func writeGroup(conn net.Conn, group *net.Buffers, look time.Duration, f Flow) (sent int, err error) {
	f.Wait()
	for {
		at := time.Now().Add(look)
		if look > 0 && conn.SetWriteDeadline(at) != nil {
			look = 0
		}
		n, err := group.WriteTo(conn)
		sent += int(n)
		if n > 0 {
			f.Progress(int(n))
		}
		if look == 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().Before(at) || f.Over() {
			return sent, err
		}
		if n > 0 {
			f.Wait()
		}
	}
}

// resumable reports whether a write to conn that timed out can continue after
// what was taken, as one to a socket can. Any other type, including one that
// embeds a socket, may have a tls.Conn inside, which can't, so the types must
// match exactly.
func resumable(conn net.Conn) bool {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}
