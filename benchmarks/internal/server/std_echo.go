package server

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
)

// stdEcho is package net in everyday use: a goroutine per connection, or one
// loop over a UDP socket.
func stdEcho(ctx context.Context, c Config) (Server, error) {
	switch {
	case c.Endpoint.Datagrams():
		return stdEchoDatagrams(ctx, c)
	case c.Frame:
		return stdStreams(ctx, c, func(conn net.Conn) { echoFrames(conn, c.ReadBuffer) })
	}
	return stdStreams(ctx, c, func(conn net.Conn) { echoBytes(conn, c.ReadBuffer) })
}

func echoBytes(conn net.Conn, size int) {
	buf := make([]byte, size)
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

const (
	frameHeader = 4       // the payload's length, big-endian
	maxFrame    = 1 << 20 // the largest payload, chanio's default
)

// echoFrames flushes when there is no more to read, like a server with bufio on
// both sides.
func echoFrames(conn net.Conn, size int) {
	r, w := bufio.NewReaderSize(conn, size), bufio.NewWriterSize(conn, size)
	var frame []byte
	for {
		header, err := r.Peek(frameHeader)
		if err != nil {
			return
		}
		payload := binary.BigEndian.Uint32(header)
		if payload > maxFrame {
			return
		}
		n := frameHeader + int(payload)
		if cap(frame) < n {
			frame = make([]byte, n)
		}
		frame = frame[:n]
		if _, err := io.ReadFull(r, frame); err != nil {
			return
		}
		if _, err := w.Write(frame); err != nil {
			return
		}
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return
			}
		}
	}
}

func stdEchoDatagrams(ctx context.Context, c Config) (Server, error) {
	conn, err := c.Endpoint.ListenPacket(ctx)
	if err != nil {
		return nil, err
	}
	s := &stdPacketServer{conn: conn}
	s.wg.Go(s.echo)
	return s, nil
}

// stdPacketServer owns one goroutine, which ends when conn is closed.
type stdPacketServer struct {
	conn *net.UDPConn
	wg   sync.WaitGroup
}

func (s *stdPacketServer) echo() {
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

func (s *stdPacketServer) Addr() string { return s.conn.LocalAddr().String() }

func (s *stdPacketServer) Close() error {
	err := s.conn.Close()
	s.wg.Wait()
	return err
}
