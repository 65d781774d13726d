package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// A link is a client's connection, of package net or of chanio.
type link interface {
	// send sends n messages. It may block until receive has received.
	send(n int) error
	// receive calls yield with what arrives until yield returns false, the link
	// is closed or it fails, and returns the error. More of what has arrived
	// together follows until last is set. After wake, b is nil.
	receive(yield func(b []byte, last bool) bool) error
	// wake interrupts receive on a datagram link.
	wake()
	close()
}

// A plainLink is a connection of package net.
type plainLink struct {
	net.Conn
	pattern *pattern
	numbers *numbers   // of datagrams; nil for streams
	buffers *sync.Pool // of *[readSize]byte
}

// pooled are buffers that readers of sockets share. They stay in the CPU's cache
// however many connections there are: a reader holds none while it waits.
var pooled = &sync.Pool{New: func() any { return new([readSize]byte) }}

// dialPlain connects the i-th client, or joins a group.
func dialPlain(ctx context.Context, c Config, p *pattern, group bool, i int) (_ *plainLink, err error) {
	l := &plainLink{pattern: p, buffers: pooled}
	if c.Endpoint.Datagrams() {
		l.numbers = &numbers{message: bytes.Clone(p.sent.messages(1))}
	}
	if group {
		l.Conn, err = c.Endpoint.Join()
	} else {
		l.Conn, err = c.Endpoint.Dial(ctx, i)
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (l *plainLink) send(n int) error {
	if l.numbers == nil {
		_, err := l.Write(l.pattern.sent.messages(n))
		return err
	}
	for range n {
		if _, err := l.Write(l.numbers.next()); err != nil {
			return err
		}
	}
	return nil
}

func (l *plainLink) receive(yield func([]byte, bool) bool) error {
	if raw := rawConn(l.Conn); raw != nil && l.numbers == nil {
		return receiveRaw(raw, l.buffers, yield)
	}
	buf := make([]byte, readSize)
	for {
		n, err := l.Read(buf)
		b := buf[:n]
		switch {
		case l.numbers != nil && errors.Is(err, os.ErrDeadlineExceeded):
			b = nil
			err = l.SetReadDeadline(time.Time{})
		case err != nil:
			return err
		}
		if err != nil || !yield(b, true) {
			return err
		}
	}
}

// wake fails if the link is closed, and then receive ends anyway.
func (l *plainLink) wake() { _ = l.SetReadDeadline(time.Unix(1, 0)) }

func (l *plainLink) close() { l.Close() }

const echoTimeout = 10 * time.Second

// echoOnce sends a message and waits until it has come back.
func (l *plainLink) echoOnce() error {
	if err := l.SetDeadline(time.Now().Add(echoTimeout)); err != nil {
		return err
	}
	if err := l.send(1); err != nil {
		return err
	}
	due := l.pattern.back.size
	err := l.receive(func(b []byte, _ bool) bool {
		due -= len(b)
		return due > 0
	})
	if err != nil {
		return fmt.Errorf("echo: %w", err)
	}
	return nil
}

// numbers makes numbered datagrams. Only the sender uses it.
type numbers struct {
	message []byte
	n       uint64
}

// next returns the next datagram, which is valid until the call after it.
func (d *numbers) next() []byte {
	binary.BigEndian.PutUint64(d.message, d.n)
	d.n++
	return d.message
}
