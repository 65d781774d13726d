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

	now *immediate // state of TryWrite; nil until its first call
}

// An immediate is a write that does not block.
type immediate struct {
	w       *Writer
	tryFunc func(fd uintptr) bool
	parts   [][]byte
	own     bool
	n       int
	err     error
}

// NewWriter returns a Writer to socket, which belongs to conn.
func NewWriter(_ net.Conn, socket *Socket) *Writer {
	w := &Writer{rc: socket.rc}
	w.tryWriteFunc = w.tryWrite
	return w
}

// TriesWrites says that TryWrite may write something.
const TriesWrites = true

// TryWrite writes of parts what the kernel takes by one system call, without
// waiting. An error is also that of each later Write. own is as for Write. Only
// one call of the two at a time is allowed.
func (w *Writer) TryWrite(parts [][]byte, own bool) (int, error) {
	if failure := w.failure.Load(); failure != nil {
		return 0, failure
	}
	if w.now == nil {
		w.now = &immediate{w: w}
		w.now.tryFunc = w.now.try
	}
	now := w.now
	now.parts, now.own, now.n, now.err = parts, own, 0, nil
	err := w.rc.Write(now.tryFunc) // not Control: Failure has to wait for it
	now.parts = nil
	if now.err != nil {
		err = now.err
	}
	return now.n, err
}

// try returns true: there is nothing to wait for.
func (now *immediate) try(fd uintptr) bool {
	n, err := IgnoreEINTR(func() (int, error) { return send(int(fd), now.parts, now.own) })
	switch err {
	case nil:
		now.n = n
	case syscall.EAGAIN:
	default:
		now.err = now.w.fail(err)
	}
	return true
}

// fail records the error of a system call, and returns it.
func (w *Writer) fail(err error) error {
	failure := &os.SyscallError{Syscall: "write", Err: err}
	w.failure.Store(failure)
	return failure
}

// Write writes parts and reports to f. own says that the library itself has
// just written that memory.
func (w *Writer) Write(parts [][]byte, own bool, _ time.Duration, f Flow) (int, error) {
	if failure := w.failure.Load(); failure != nil {
		return 0, failure
	}
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
// Write or TryWrite in progress, on a connection that is gone.
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
		n, err := IgnoreEINTR(func() (int, error) { return send(int(fd), w.parts, w.own) })
		switch {
		case err == syscall.EAGAIN:
			w.wait()
			return false
		case err != nil:
			w.fail(err)
			return true
		}
		w.n += n
		w.advance(n)
	}
	return true
}

// send sends what one system call takes of parts.
func send(fd int, parts [][]byte, own bool) (int, error) {
	if len(parts) == 1 && own && len(parts[0]) <= rawLimit {
		return sendNow(fd, parts[0])
	}
	return sendParts(fd, parts)
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
