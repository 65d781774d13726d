package sock

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// A Flow is what a write needs of whoever sends.
type Flow interface {
	// Wait is called when the write is about to wait for the peer.
	Wait()
	// Progress is called when n more bytes are the kernel's.
	Progress(n int)
	// Over reports whether nobody cares for the write any more.
	Over() bool
}

// rawLimit bounds what is written by a system call that the scheduler does not
// hear of: while it runs, nothing can stop its thread.
const rawLimit = 64 << 10

// WriteParts writes parts through conn, in groups of limit bytes. A write to a
// socket that waits is interrupted now and then, to see how much of it was taken:
// else its progress would show only at its end, and a peer that is slow look like
// one that takes nothing. look is how often; 0 is never.
func WriteParts(conn net.Conn, parts [][]byte, limit int, look time.Duration, f Flow) (sent int, err error) {
	if !resumable(conn) {
		look = 0
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

// writeGroup writes group, and looks at its progress unless look is 0.
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

// resumable reports whether a write to conn that timed out can go on after what
// was taken, as one to a socket can. Anything else may have a tls.Conn in it,
// which can't. A type that embeds a socket may, too, so the types are exact.
func resumable(conn net.Conn) bool {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}
