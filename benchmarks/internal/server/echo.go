package server

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"

	"example.com/chanio/benchmarks/internal/endpoint"
)

// stdBuffer is the size in bytes of a connection's buffers.
const stdBuffer = 64 << 10

// stdEcho is package net in everyday use: a goroutine per connection, or one
// loop over a UDP socket.
func stdEcho(ctx context.Context, c Config) (Server, error) {
	switch {
	case c.Endpoint.Datagrams():
		return stdEchoDatagrams(ctx, c)
	case c.Framing == endpoint.Prefix:
		return stdStreams(ctx, c, echoFrames(nextPrefixed))
	case c.Framing == endpoint.Lines:
		return stdStreams(ctx, c, echoFrames(nextLine))
	}
	return stdStreams(ctx, c, echoBytes)
}

func echoBytes(conn net.Conn) {
	buf := make([]byte, stdBuffer)
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			if _, err := conn.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
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

func stdEchoDatagrams(ctx context.Context, c Config) (Server, error) {
	conn, err := c.Endpoint.ListenPacket(ctx)
	if err != nil {
		return nil, err
	}
	s := &packetServer{conn: conn}
	s.wg.Go(s.echo)
	return s, nil
}

// packetServer owns one goroutine, which ends when conn is closed.
type packetServer struct {
	conn *net.UDPConn
	wg   sync.WaitGroup
}

func (s *packetServer) echo() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			// A peer that is gone refuses; go on serving the others.
			_, _ = s.conn.WriteToUDPAddrPort(buf[:n], from)
		}
	}
}

func (s *packetServer) Addr() string { return s.conn.LocalAddr().String() }

func (s *packetServer) Close() error {
	err := s.conn.Close()
	s.wg.Wait()
	return err
}
