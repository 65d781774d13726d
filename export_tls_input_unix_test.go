//go:build unix

package chanio

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"example.com/chanio/internal/buffer"
	"example.com/chanio/internal/sock"
	"example.com/chanio/internal/tlsrecord"
)

const (
	Chaff        = chaff
	ChaffPerByte = chaffPerByte
)

// A TLSInput is a server's TLS transport as its reader sees it.
type TLSInput struct{ t *tlsStream }

// NewTLSInput returns an input over conn. server is [tls.Server], or wraps it.
func NewTLSInput(conn net.Conn, server func(net.Conn, *tls.Config) *tls.Conn, config *tls.Config) *TLSInput {
	return &TLSInput{newTLSStream(conn, server, ownTLS(config))}
}

func (in *TLSInput) Handshake(ctx context.Context) error { return in.t.handshake(ctx) }

// Read reads once and waits for data.
func (in *TLSInput) Read() (*buffer.Buffer, int, error) { return in.t.read(window{to: blockSize}) }

// Poll reads what has arrived, as often as there is something. It returns how
// often there was.
func (in *TLSInput) Poll() (got []byte, reads int, err error) {
	raw := in.t.raw
	controlErr := sock.Of(in.t.records.Conn).RawConn().Control(func(fd uintptr) {
		raw.window = window{to: blockSize}
		for err == nil && raw.tryRead(fd) {
			reads++
			if err = raw.err; err == nil {
				got = append(got, raw.buf.B[:raw.n]...)
				raw.buf.Free()
			}
		}
	})
	if err == nil {
		err = controlErr
	}
	return got, reads, err
}

// Rest is what is left of the records that were read.
func (in *TLSInput) Rest() tlsrecord.Reader { return in.t.records.in }

// Post sends p as if it were records.
func (in *TLSInput) Post(p []byte) (owed bool, err error) { return in.t.records.post(p) }

// Left returns how many bytes of records remain to be sent.
func (in *TLSInput) Left() int { return in.t.records.Left() }

// BufferSize returns how much memory crypto/tls keeps for input.
func (in *TLSInput) BufferSize() int { return in.t.raw.tls.buffers.Size() }

// LoseBuffers makes the library unable to find that memory.
func (in *TLSInput) LoseBuffers() { in.t.raw.tls.buffers = tlsrecord.Buffers{} }

// DropWhen sets the timer that drops that memory. Nil means that the next
// read that finds nothing starts one.
func (in *TLSInput) DropWhen(timer *time.Timer) { in.t.raw.tls.idle = timer }

// WillDrop reports whether there is such a timer.
func (in *TLSInput) WillDrop() bool {
	tls := in.t.raw.tls
	tls.mu.Lock()
	defer tls.mu.Unlock()
	return tls.idle != nil
}

// Drop is what that timer calls.
func (in *TLSInput) Drop() { in.t.raw.tls.drop() }
