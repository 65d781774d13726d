//go:build unix

package chanio

import (
	"bytes"
	"crypto/tls"
	"os"
	"reflect"
	"syscall"
	"unsafe"
)

// idleInput is the capacity up to which an idle tls.Conn keeps its input
// buffer: it would need as much for the next small record.
const idleInput = 1 << 10

// tlsInput is how a rawConn reads through a tls.Conn: without waiting, inside
// tryRead, so that an idle session holds neither the buffer that it reads into
// nor the one that crypto/tls reads records into.
type tlsInput struct {
	tc      *tls.Conn
	records *recordConn
	pending *bytes.Buffer // the records that tc has and has not decrypted; nil if that is not known
}

func newTLSInput(tc *tls.Conn, records *recordConn) *tlsInput {
	return &tlsInput{tc, records, pendingRecords(tc)}
}

// pendingRecords returns tc's input buffer, which crypto/tls keeps at its
// largest for the life of a connection and gives no way to release. If a later
// Go has no such field, the buffer stays with the connection: nothing else
// depends on it.
func pendingRecords(tc *tls.Conn) *bytes.Buffer {
	f, ok := reflect.TypeFor[tls.Conn]().FieldByName("rawInput")
	if !ok || f.Type != reflect.TypeFor[bytes.Buffer]() {
		return nil
	}
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(tc), f.Offset))
}

// read decrypts what there is into p, one record or all that are complete. It
// reports whether that was anything.
func (t *tlsInput) read(fd uintptr, p []byte) (n int, err error, ready bool) {
	t.records.fd = int(fd)
	for {
		var m int
		m, err = t.tc.Read(p[n:])
		n += m
		if err != nil || n == len(p) || t.pending == nil || t.pending.Len() == 0 {
			break
		}
	}
	t.records.fd = -1
	if _, ok := err.(errWouldBlock); ok {
		err = nil
		t.shrink()
		return n, nil, n > 0
	}
	return n, err, true
}

// shrink lets the input buffer go, if there is nothing in it. Only the reader
// uses the buffer, and it is not inside tc now.
func (t *tlsInput) shrink() {
	if t.pending != nil && t.pending.Len() == 0 && t.pending.Cap() > idleInput {
		*t.pending = bytes.Buffer{}
	}
}

// readNow reads from a socket without waiting.
func readNow(fd int, p []byte) (int, error) {
	n, err := ignoreEINTR(func() (int, error) { return syscall.Read(fd, p) })
	switch {
	case err == syscall.EAGAIN:
		return 0, errWouldBlock{}
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	}
	return n, nil
}
