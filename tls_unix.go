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

	"example.com/chanio/internal/buffer"
)

// tlsInput is how a rawConn reads through a tls.Conn: without waiting, inside
// tryRead, so that an idle session holds neither the buffer that it reads into
// nor the one that crypto/tls reads records into.
type tlsInput struct {
	tc      *tls.Conn
	records *recordConn
	tlsBuffers
	lent    *buffer.Buffer // the memory of pending; nil if that is tc's own
	drained bool           // the last read has left nothing, neither in tc nor in the socket
	err     error          // what reading has ended with
}

// tlsBuffers are what a tls.Conn holds of its input. Both are nil if that is not
// known.
type tlsBuffers struct {
	pending *bytes.Buffer // the records that it has not decrypted
	plain   *bytes.Reader // what it has decrypted and not given away, in the memory of pending
}

func newTLSInput(tc *tls.Conn, records *recordConn) *tlsInput {
	return &tlsInput{tc: tc, records: records, tlsBuffers: buffersOf(tc)}
}

// buffersOf returns tc's input buffers, of which crypto/tls keeps the one for
// records at its largest for the life of a connection and gives no way to release
// it. If a later Go has no such fields, the buffer stays with the connection:
// nothing else depends on it.
func buffersOf(tc *tls.Conn) tlsBuffers {
	pending, ok := fieldOf[bytes.Buffer](tc, "rawInput")
	plain, also := fieldOf[bytes.Reader](tc, "input")
	if !ok || !also {
		return tlsBuffers{}
	}
	return tlsBuffers{pending, plain}
}

// fieldOf returns the field of tc that has that name, if its type is T.
func fieldOf[T any](tc *tls.Conn, name string) (*T, bool) {
	f, ok := reflect.TypeFor[tls.Conn]().FieldByName(name)
	if !ok || f.Type != reflect.TypeFor[T]() {
		return nil, false
	}
	return (*T)(unsafe.Add(unsafe.Pointer(tc), f.Offset)), true
}

// holds reports whether tc may give something without reading from the socket.
func (b tlsBuffers) holds() bool {
	return b.pending == nil || b.pending.Len() > 0 || b.plain.Len() > 0
}

// A read ends, though there is more, when it has decrypted more bytes than chaff, and
// chaffPerByte for each byte of data that they gave: a peer may send key updates
// without end, each of which costs more than a record of data, and others wait for
// the same poller.
const (
	chaffPerByte = 4
	chaff        = 8 << 10
)

// read decrypts what there is into p, one record or all that are complete. It
// reports whether that was anything. An error that comes beside data is returned
// by the next read: crypto/tls does not repeat them all.
func (t *tlsInput) read(fd uintptr, p []byte) (n int, err error, ready bool) {
	if t.err != nil {
		return 0, t.err, true
	}
	t.lend()
	t.records.fd = int(fd)
	n, err = t.decrypt(p)
	t.records.fd = -1
	_, dry := err.(errWouldBlock)
	t.drained = dry || err == nil && !t.holds() && t.records.drained
	if n < len(p) {
		t.reclaim()
	}
	if dry {
		return n, nil, n > 0
	}
	t.err = err
	if n > 0 {
		err = nil
	}
	return n, err, true
}

// decrypt fills p as far as there is something for it.
func (t *tlsInput) decrypt(p []byte) (n int, err error) {
	start := t.position()
	for {
		m, err := t.tc.Read(p[n:])
		n += m
		if err != nil || n == len(p) || t.pending == nil || !t.holds() {
			return n, err
		}
		if t.position()-start > chaff+chaffPerByte*n || t.records.owesMuch() {
			return n, nil
		}
	}
}

// position is how many bytes of records tc has decrypted, but for those of the
// handshake.
func (t *tlsInput) position() int {
	if t.pending == nil {
		return 0
	}
	return t.records.taken - t.pending.Len()
}

// lend lets tc read records into memory of the pool, behind the part of one that
// it may have: fresh memory for each read would cost more than all else, and one
// that holds several records takes them with one system call. Only the reader uses
// the buffer, and it is not inside tc now.
func (t *tlsInput) lend() {
	if t.pending == nil || t.lent != nil || t.pending.Len() > inputBlockSize/2 {
		return
	}
	t.lent = buffer.Get(inputBlockSize)
	n := copy(t.lent.B, t.pending.Bytes())
	*t.pending = *bytes.NewBuffer(t.lent.B[:n])
}

// reclaim takes the input buffer back. If there is a part of a record in it, tc
// keeps that and no more: a peer that never sends the rest shall not hold a block.
// Where tc has decrypted more than it has given away, as it may behind an alert or
// with an error, that is in the same memory, and nothing is taken.
func (t *tlsInput) reclaim() {
	if t.pending == nil || t.plain.Len() > 0 {
		return
	}
	*t.pending = *bytes.NewBuffer(slices.Clone(t.pending.Bytes()))
	if t.lent != nil {
		t.lent.Free()
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
