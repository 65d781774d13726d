package chanio

import (
	"crypto/tls"
	"sync"
	"time"

	"example.com/chanio/internal/tlsrecord"
)

// tlsInput reads through a tls.Conn without waiting, for a rawConn inside tryRead,
// so that a session that waits holds neither the buffer that it reads into nor one
// for records.
type tlsInput struct {
	tc      *tls.Conn
	records *recordConn
	err     error // what reading has ended with

	mu      sync.Mutex // held by whoever is inside tc, or looks at its buffers; never across a wait
	buffers tlsrecord.Buffers
	idle    *time.Timer // drops buffers; nil unless it runs
	busy    bool        // something was read since idle last looked
}

func newTLSInput(tc *tls.Conn, records *recordConn) *tlsInput {
	return &tlsInput{tc: tc, records: records, buffers: tlsrecord.BuffersOf(tc)}
}

// A read ends, though there is more, when it has decrypted more bytes than chaff, and
// chaffPerByte for each byte of data that they gave: a peer may send key updates
// without end, each of which costs more than a record of data, and the end of the
// session waits for a read to return.
const (
	chaffPerByte = 4
	chaff        = 8 << 10
)

// bufferIdle is how long a session reads nothing before it drops the buffers of its
// tls.Conn, and smallBuffers how much it may keep: those of conversations in small
// messages.
const (
	bufferIdle   = 200 * time.Millisecond
	smallBuffers = 2 << 10
)

// read decrypts what there is into p, one record or all that are whole. It
// reports whether that was anything. An error that comes beside data is returned
// by the next read: crypto/tls does not repeat them all.
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

// decrypt fills p as far as there is something for it.
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

// beforeWaiting sees to it that what waits does not stay for ever: the part of a
// record, and buffers. The caller holds mu.
func (t *tlsInput) beforeWaiting() {
	if t.records.in.Part() {
		t.records.watch()
	}
	if t.idle == nil && t.buffers.Size() > smallBuffers {
		t.busy = false
		t.idle = time.AfterFunc(bufferIdle, t.drop)
	}
}

// drop drops the buffers of a connection that is idle.
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
