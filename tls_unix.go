//go:build unix

package chanio

import (
	"bytes"
	"crypto/tls"
	"os"
	"reflect"
	"slices"
	"syscall"
	"unsafe"
)

// tlsInput is how a rawConn reads through a tls.Conn: without waiting, inside
// tryRead, so that an idle session holds neither the buffer that it reads into
// nor the one that crypto/tls reads records into.
type tlsInput struct {
	tc      *tls.Conn
	records *recordConn
	pending *bytes.Buffer // the records that tc has and has not decrypted; nil if that is not known
	lent    *block        // the memory of pending; nil if that is tc's own
}

func newTLSInput(tc *tls.Conn, records *recordConn) *tlsInput {
	return &tlsInput{tc: tc, records: records, pending: pendingRecords(tc)}
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
	t.lend()
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
	if n < len(p) {
		t.reclaim()
	}
	if _, ok := err.(errWouldBlock); ok {
		return n, nil, n > 0
	}
	return n, err, true
}

// lend lets tc read records into memory of the pool, behind the part of one that
// it may have: fresh memory for each read would cost more than all else, and one
// that holds several records takes them with one system call. Only the reader uses
// the buffer, and it is not inside tc now.
func (t *tlsInput) lend() {
	if t.pending == nil || t.lent != nil || t.pending.Len() > inputBlockSize/2 {
		return
	}
	t.lent = inputBlocks.get()
	n := copy(t.lent.b, t.pending.Bytes())
	*t.pending = *bytes.NewBuffer(t.lent.b[:n])
}

// reclaim takes the input buffer back. If there is a part of a record in it, tc
// keeps that and no more: a peer that never sends the rest shall not hold a block.
// All that tc has decrypted, which is in the same memory, must have been read.
func (t *tlsInput) reclaim() {
	if t.pending == nil {
		return
	}
	*t.pending = *bytes.NewBuffer(slices.Clone(t.pending.Bytes()))
	if t.lent != nil {
		t.lent.free()
		t.lent = nil
	}
}

// readNow reads from a socket without waiting.
func readNow(fd int, p []byte) (int, error) {
	n, err := ignoreEINTR(func() (int, error) { return recvNow(fd, p) })
	switch {
	case err == syscall.EAGAIN:
		return 0, errWouldBlock{}
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	}
	return n, nil
}
