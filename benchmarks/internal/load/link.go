package load

import (
	"context"
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
	*outgoing
	whole int // bytes of a message that comes back
}

// pooled are buffers, *[readSize]byte, that readers of sockets share. They stay in the CPU's cache
// however many connections there are: a reader holds none while it waits.
var pooled = &sync.Pool{New: func() any { return new([readSize]byte) }}

// plain connects the i-th client, or joins a group.
func (d *dialer) plain(ctx context.Context, i int) (l *plainLink, err error) {
	l = &plainLink{outgoing: d.outgoing(), whole: d.pattern.back.size}
	if d.Datagrams() && d.Multicasts() {
		l.Conn, err = d.Join()
	} else {
		l.Conn, err = d.Dial(ctx, i, d.tls)
	}
	return l, err
}

func (l *plainLink) send(n int) error {
	return l.each(n, l.numbered != nil, func(b []byte) error {
		_, err := l.Write(b)
		return err
	})
}

func (l *plainLink) receive(yield func([]byte, bool) bool) error {
	if raw := rawConn(l.Conn); raw != nil && l.numbered == nil {
		return receiveRaw(raw, yield)
	}
	buf := make([]byte, readSize)
	for {
		n, err := l.Read(buf)
		b := buf[:n]
		switch {
		case l.numbered != nil && errors.Is(err, os.ErrDeadlineExceeded):
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
	due := l.whole
	err := l.receive(func(b []byte, _ bool) bool {
		due -= len(b)
		return due > 0
	})
	if err != nil {
		return fmt.Errorf("echo: %w", err)
	}
	return nil
}
