package server

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"sync"

	"github.com/tidwall/redcon"

	"example.com/chanio"
)

// resp is the Framing of a server for Redis' protocol. A received message is a
// whole command; a sent message is a reply as it is on the wire.
type resp struct{}

func (resp) AppendFrame(dst, message []byte) ([]byte, error) { return append(dst, message...), nil }

func (resp) Next(buf []byte, max int) ([]byte, int, error) {
	var args [4][]byte
	_, n, err := command(args[:0], buf)
	if err != nil {
		return nil, 0, err
	}
	if n > max || n == 0 && len(buf) > max {
		return nil, 0, fmt.Errorf("redis: %w", chanio.ErrMessageTooLarge)
	}
	return buf[:n], n, nil
}

// command returns the arguments of the first command in buf, in the memory of
// args if they fit, and the command's length; 0 means that more bytes are needed.
func command(args [][]byte, buf []byte) ([][]byte, int, error) {
	_, args, _, rest, err := redcon.ReadNextCommand(buf, args)
	return args, len(buf) - len(rest), err
}

// A store is the data that the commands work on.
type store struct {
	mu     sync.RWMutex
	values map[string][]byte
}

func newStore() *store { return &store{values: make(map[string][]byte)} }

// answer appends the reply to a command to dst.
func (s *store) answer(dst []byte, args [][]byte) []byte {
	switch {
	case len(args) == 2 && bytes.EqualFold(args[0], []byte("GET")):
		s.mu.RLock()
		v, ok := s.values[string(args[1])]
		s.mu.RUnlock()
		if !ok {
			return redcon.AppendNull(dst)
		}
		return redcon.AppendBulk(dst, v)
	case len(args) == 3 && bytes.EqualFold(args[0], []byte("SET")):
		v := bytes.Clone(args[2])
		s.mu.Lock()
		s.values[string(args[1])] = v
		s.mu.Unlock()
		return redcon.AppendOK(dst)
	}
	return redcon.AppendError(dst, "ERR unknown command")
}

// chanioRedis serves GET and SET over batches.
func chanioRedis(s *Server) error {
	o := s.config.Options()
	o.Framing = resp{}
	l, err := s.listenChanio(o)
	if err != nil {
		return err
	}
	values := newStore()
	s.each(l, func(session *chanio.Session) { answerBatches(session, values) })
	return nil
}

func answerBatches(s *chanio.Session, values *store) {
	var args [][]byte
	for commands := range s.RecvBatch() {
		replies := chanio.NewBatch()
		for _, m := range commands.All() {
			args, _, _ = command(args[:0], m) // valid: the Framing has parsed it
			replies.AppendFunc(func(dst []byte) []byte { return values.answer(dst, args) })
		}
		commands.Release()
		if s.PutBatch(replies) != nil {
			return
		}
	}
}

// stdRedis is the same on package net with bufio: a goroutine per connection,
// which flushes when no whole command is left.
func stdRedis(s *Server) error {
	values := newStore()
	return s.serveStreams(func(conn net.Conn) { answerBuffered(conn, values) })
}

func answerBuffered(conn net.Conn, values *store) {
	r, w := bufio.NewReaderSize(conn, stdBuffer), bufio.NewWriterSize(conn, stdBuffer)
	var args [][]byte
	for {
		// Peek fails when the connection has ended, or if a command exceeds the buffer.
		if _, err := r.Peek(r.Buffered() + 1); err != nil {
			return
		}
		p, _ := r.Peek(r.Buffered())
		used := 0
		for {
			var n int
			var err error
			if args, n, err = command(args[:0], p[used:]); err != nil {
				return
			}
			if n == 0 {
				break
			}
			used += n
			if w.Available() < len(p) {
				w.Flush() // its error is sticky: the last Flush returns it too
			}
			w.Write(values.answer(w.AvailableBuffer(), args))
		}
		if w.Flush() != nil {
			return
		}
		r.Discard(used)
	}
}
