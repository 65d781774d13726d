package chanio

import (
	"net"
	"os"
	"syscall"
)

// rawWriter writes a batch to a stream socket with as few system calls as the
// kernel allows, and sees the progress of each: WriteTimeout is about progress,
// and a net.Conn's Write would only tell of its end.
type rawWriter struct {
	rc           syscall.RawConn
	tryWriteFunc func(fd uintptr) bool

	// The writer's, between write and tryWrite.
	session *Session
	parts   [][]byte // what is still to be written
	n       int      // how many bytes were written
	waited  int      // n when it last waited; -1 before that
	err     error

	now *immediate // writeNow's; nil until there is one: only TLS has them
}

// An immediate is a write that does not wait.
type immediate struct {
	tryFunc func(fd uintptr)
	p       []byte
	n       int
	err     error
}

func (w *rawWriter) init(_ net.Conn, rc syscall.RawConn) {
	w.rc = rc
	w.tryWriteFunc = w.tryWrite
}

// writeNow writes as much of p as the kernel takes now, while no write is under
// way. One call at a time.
func (w *rawWriter) writeNow(p []byte) (int, error) {
	if w.now == nil {
		w.now = new(immediate)
		w.now.tryFunc = w.now.try
	}
	now := w.now
	now.p, now.n, now.err = p, 0, nil
	err := w.rc.Control(now.tryFunc)
	now.p = nil
	if now.err != nil {
		err = os.NewSyscallError("write", now.err)
	}
	return now.n, err
}

func (w *immediate) try(fd uintptr) {
	n, err := ignoreEINTR(func() (int, error) { return sendNow(int(fd), w.p) })
	switch err {
	case nil:
		w.n = n
	case syscall.EAGAIN:
	default:
		w.err = err
	}
}

func (w *rawWriter) write(parts [][]byte, s *Session) (int, error) {
	w.session, w.parts, w.n, w.waited, w.err = s, parts, 0, -1, nil
	err := w.rc.Write(w.tryWriteFunc)
	s.output.stall.end()
	w.session, w.parts = nil, nil
	if err == nil && w.err != nil {
		err = os.NewSyscallError("write", w.err)
	}
	return w.n, err
}

// tryWrite writes until all is written, it fails, or the kernel has no room; it
// reports whether there is nothing to wait for.
func (w *rawWriter) tryWrite(fd uintptr) bool {
	for len(w.parts) > 0 {
		n, err := ignoreEINTR(func() (int, error) {
			if len(w.parts) == 1 {
				return sendNow(int(fd), w.parts[0])
			}
			return sendPartsNow(int(fd), w.parts)
		})
		switch {
		case err == syscall.EAGAIN:
			w.wait()
			return false
		case err != nil:
			w.err = err
			return true
		}
		w.n += n
		w.advance(n)
	}
	return true
}

// wait notes that the write is about to wait, and whether that is after progress
// or only goes on.
func (w *rawWriter) wait() {
	if w.n == w.waited {
		return
	}
	w.waited = w.n
	if w.n > 0 {
		w.session.progressed()
	}
	w.session.output.stall.begin(w.session)
}

// advance drops n bytes from the front of parts.
func (w *rawWriter) advance(n int) {
	for n > 0 || len(w.parts) > 0 && len(w.parts[0]) == 0 {
		p := w.parts[0]
		if n < len(p) {
			w.parts[0] = p[n:]
			return
		}
		n -= len(p)
		w.parts = w.parts[1:]
	}
}
