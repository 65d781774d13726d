package server

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"syscall"

	"example.com/chanio/benchmarks/internal/bench"
)

// stdBuffer is the size in bytes of a connection's buffers.
const stdBuffer = 64 << 10

// stdEcho is package net in everyday use: a goroutine per connection, or one
// loop over a UDP socket.
func stdEcho(s *Server) error {
	switch {
	case s.config.Datagrams():
		return s.echoDatagrams()
	case s.config.Framing == bench.Prefix:
		return s.serveStreams(echoFrames(nextPrefixed))
	case s.config.Framing == bench.Lines:
		return s.serveStreams(echoFrames(nextLine))
	}
	return s.serveStreams(echoBytes)
}

func echoBytes(conn net.Conn) {
	buf := make([]byte, stdBuffer)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

// echoFrames flushes when there is no more to read, like a server with bufio on
// both sides.
func echoFrames(next func(r *bufio.Reader, frame []byte) ([]byte, error)) func(net.Conn) {
	return func(conn net.Conn) {
		r, w := bufio.NewReaderSize(conn, stdBuffer), bufio.NewWriterSize(conn, stdBuffer)
		var frame []byte
		for {
			var err error
			if frame, err = next(r, frame); err != nil {
				return
			}
			if _, err := w.Write(frame); err != nil {
				return
			}
			if r.Buffered() == 0 && w.Flush() != nil {
				return
			}
		}
	}
}

var errTooLarge = errors.New("a message is too large")

// nextPrefixed returns the next message, with its length before it, in the
// memory of frame if it fits.
func nextPrefixed(r *bufio.Reader, frame []byte) ([]byte, error) {
	const most = 1 << 20 // chanio's default
	header, err := r.Peek(4)
	if err != nil {
		return nil, err
	}
	payload := binary.BigEndian.Uint32(header)
	if payload > most {
		return nil, errTooLarge
	}
	n := len(header) + int(payload)
	if cap(frame) < n {
		frame = make([]byte, n)
	}
	frame = frame[:n]
	_, err = io.ReadFull(r, frame)
	return frame, err
}

// nextLine returns the next line where it is in r's buffer.
func nextLine(r *bufio.Reader, _ []byte) ([]byte, error) { return r.ReadSlice('\n') }

func (s *Server) echoDatagrams() error {
	conn, err := s.config.ListenPacket()
	if err != nil {
		return err
	}
	s.Addr = conn.LocalAddr().String()
	s.onClose(conn.Close)
	s.wg.Go(func() { // ends when conn is closed
		buf := make([]byte, stdBuffer)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				// A peer that is gone refuses; go on serving the others.
				_, _ = conn.WriteToUDPAddrPort(buf[:n], from)
			}
		}
	})
	return nil
}

// stdGroup needs one system call per datagram.
func stdGroup(s *Server) error {
	group, _, err := s.config.Group()
	if err != nil {
		return err
	}
	conn, err := s.config.Sender()
	if err != nil {
		return err
	}
	s.onClose(conn.Close)
	s.publishToGroup(func(message []byte) error {
		_, err := conn.WriteToUDPAddrPort(message, group)
		if errors.Is(err, syscall.ENOBUFS) {
			return nil // lost, as datagrams are
		}
		return err
	})
	return nil
}
