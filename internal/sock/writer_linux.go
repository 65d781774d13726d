package sock

import (
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// maxParts bounds the entries of a gathered write: below the kernel's IOV_MAX.
const maxParts = 64

// A Writer writes to a stream socket with as few system calls as the kernel
// allows, and sees the progress of each; a net.Conn's Write reports only its
// end. Only one goroutine at a time may call Write.
type Writer struct {
	rc           syscall.RawConn
	tryWriteFunc func(fd uintptr) bool
	failure      atomic.Pointer[os.SyscallError] // the error that ended writing

	// State of the current Write.
	flow   Flow
	parts  [][]byte // still to be written
	own    bool     // parts are memory that the library has just written
	n      int      // how many bytes were written
	told   int      // how many of n were reported to flow
	waited int      // n when it last waited; -1 before that

	now *immediate // state of TryWrite; nil until its first call: only TLS uses it
}

// An immediate is a write that does not block.
type immediate struct {
	tryFunc func(fd uintptr)
	p       []byte
	n       int
	err     error
}

// NewWriter returns a Writer to socket, which belongs to conn.
func NewWriter(_ net.Conn, socket *Socket) *Writer {
	w := &Writer{rc: socket.rc}
	w.tryWriteFunc = w.tryWrite
	return w
}

// TryWrite writes as much of p as the kernel takes now, unless a Write is in
// progress. p must be memory that the library has just written. Only one call
// at a time is allowed.
func (w *Writer) TryWrite(p []byte) (int, error) {
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
	n, err := IgnoreEINTR(func() (int, error) { return sendNow(int(fd), w.p[:min(len(w.p), rawLimit)]) })
	switch err {
	case nil:
		w.n = n
	case syscall.EAGAIN:
	default:
		w.err = err
	}
}

// Write writes parts and reports to f. own says that the library itself has
// just written that memory.
func (w *Writer) Write(parts [][]byte, own bool, _ time.Duration, f Flow) (int, error) {
	w.flow, w.parts, w.own, w.n, w.told, w.waited = f, parts, own, 0, 0, -1
	err := w.rc.Write(w.tryWriteFunc)
	w.tell()
	w.flow, w.parts = nil, nil
	if failure := w.failure.Load(); failure != nil && err == nil {
		err = failure
	}
	return w.n, err
}

// Failure returns the error with which writing failed. It first waits for a
// Write in progress, on a connection that is gone.
func (w *Writer) Failure() error {
	w.rc.Write(func(uintptr) bool { return true }) // waits for the Write
	if failure := w.failure.Load(); failure != nil {
		return failure
	}
	return nil
}

// tryWrite writes until everything is written, it fails, or the kernel has no
// room. It reports whether there is nothing to wait for.
func (w *Writer) tryWrite(fd uintptr) bool {
	for len(w.parts) > 0 {
		n, err := IgnoreEINTR(func() (int, error) { return w.send(int(fd)) })
		switch {
		case err == syscall.EAGAIN:
			w.wait()
			return false
		case err != nil:
			w.failure.Store(&os.SyscallError{Syscall: "write", Err: err})
			return true
		}
		w.n += n
		w.advance(n)
	}
	return true
}

// send sends what one system call takes of parts.
func (w *Writer) send(fd int) (int, error) {
	if len(w.parts) == 1 && w.own && len(w.parts[0]) <= rawLimit {
		return sendNow(fd, w.parts[0])
	}
	return sendParts(fd, w.parts)
}

// wait records that the write is about to wait. It reports to flow only if the
// write has progressed since it last waited.
func (w *Writer) wait() {
	if w.n == w.waited {
		return
	}
	w.waited = w.n
	w.tell()
	w.flow.Wait()
}

// tell reports what was written since it last did.
func (w *Writer) tell() {
	if n := w.n - w.told; n > 0 {
		w.told = w.n
		w.flow.Progress(n)
	}
}

// advance drops n bytes from the front of parts.
func (w *Writer) advance(n int) {
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
