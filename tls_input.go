package chanio

import (
	"crypto/tls"
	"sync"
	"time"

	"example.com/chanio/internal/tlsrecord"
)

// tlsInput reads through a tls.Conn without blocking, for a rawConn inside
// tryRead. A parked session thus holds neither a read buffer nor a record
// buffer.
type tlsInput struct {
	tc      *tls.Conn
	records *recordConn
	err     error // the error that ended reading
	full    bool  // the last read filled its memory, so tc may hold more of a record

	mu      sync.Mutex // held inside tc and while looking at its buffers; never while blocking
	buffers tlsrecord.Buffers
	idle    *time.Timer // drops buffers; nil unless running
	busy    bool        // something was read since idle last looked
}

func newTLSInput(tc *tls.Conn, records *recordConn) *tlsInput {
	return &tlsInput{tc: tc, records: records, buffers: tlsrecord.BuffersOf(tc)}
}

// A read stops early once it has decrypted more than chaff bytes plus
// chaffPerByte for each byte of data obtained. A peer may send endless key
// updates, each of which costs more than a data record, and the end of the
// session waits for a read to return.
const (
	chaffPerByte = 4
	chaff        = 8 << 10
)

// A session that reads nothing for bufferIdle drops the buffers of its
// tls.Conn, except those of up to smallBuffers bytes, which suffice for small
// messages.
const (
	bufferIdle   = 200 * time.Millisecond
	smallBuffers = 2 << 10
)

// waiting reports whether read may find something, which it reads from the
// socket. When there is nothing, as after each message of a peer that waits for an
// answer, it costs neither a call of crypto/tls nor the caller a buffer.
func (t *tlsInput) waiting(fd uintptr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil || t.full {
		return true
	}
	t.records.fd = int(fd)
	err := t.records.fill()
	t.records.fd = -1
	if err != (errWouldBlock{}) {
		return true
	}
	t.records.in.Release()
	t.beforeWaiting()
	return false
}

// read decrypts what is available into p, one record or all whole ones, and
// reports whether there was anything. An error that comes with data is returned
// by the next read, since crypto/tls does not repeat every error.
func (t *tlsInput) read(fd uintptr, p []byte) (n int, err error, ready bool) {
	if t.err != nil {
		return 0, t.err, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records.fd = int(fd)
	n, err = t.decrypt(p)
	t.records.fd = -1
	t.records.in.Release()
	t.busy = t.busy || n > 0
	t.full = n == len(p)
	if _, dry := err.(errWouldBlock); dry {
		if n == 0 {
			t.beforeWaiting()
		}
		return n, nil, n > 0
	}
	t.err = err
	if n > 0 {
		err = nil
	}
	return n, err, true
}

// decrypt fills p as far as there is input.
func (t *tlsInput) decrypt(p []byte) (n int, err error) {
	start := t.records.given
	for {
		m, err := t.tc.Read(p[n:])
		n += m
		if err != nil || n == len(p) || t.records.dry() {
			return n, err
		}
		if t.records.given-start > chaff+chaffPerByte*n || t.records.owesMuch() {
			return n, nil
		}
	}
}

// beforeWaiting bounds how long a parked session keeps a partial record and its
// buffers. The caller holds mu.
func (t *tlsInput) beforeWaiting() {
	if t.records.in.Part() {
		t.records.watch()
	}
	if t.idle == nil && t.buffers.Size() > smallBuffers {
		t.busy = false
		t.idle = time.AfterFunc(bufferIdle, t.drop)
	}
}

// drop drops the buffers of an idle connection.
func (t *tlsInput) drop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy {
		t.busy = false
		t.idle.Reset(bufferIdle)
		return
	}
	t.buffers.Drop()
	t.idle = nil
}
