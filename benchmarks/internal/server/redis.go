package server

import (
	"bufio"
	"context"
	"net"

	"example.com/chanio"
)

// chanioRedis serves GET, SET and PING over batches.
func chanioRedis(ctx context.Context, c Config) (Server, error) {
	o := c.options()
	o.Framing = resp{}
	l, err := chanio.Listen(context.WithoutCancel(ctx), c.Endpoint.Network(), c.Endpoint.Address, o)
	if err != nil {
		return nil, err
	}
	s := &chanioServer{Listener: l, at: l.Addr().String()}
	values := newStore()
	s.each(func(session *chanio.Session) { answerBatches(session, values) })
	return s, nil
}

func answerBatches(s *chanio.Session, values *store) {
	var args [][]byte
	for commands := range s.RecvBatch() {
		replies := chanio.NewBatch()
		for _, m := range commands.All() {
			args, _, _ = parseCommand(args[:0], m) // valid: the Framing has parsed it
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
func stdRedis(ctx context.Context, c Config) (Server, error) {
	values := newStore()
	return stdStreams(ctx, c, func(conn net.Conn) { answerBuffered(conn, values) })
}

func answerBuffered(conn net.Conn, values *store) {
	r, w := bufio.NewReaderSize(conn, stdBuffer), bufio.NewWriterSize(conn, stdBuffer)
	var args [][]byte
	for {
		p, err := r.Peek(r.Buffered())
		if err != nil {
			return
		}
		used := 0
		for {
			var n int
			if args, n, err = parseCommand(args[:0], p[used:]); n == 0 {
				break
			}
			used += n
			if w.Available() < len(p) {
				w.Flush() // its error is sticky: the last Flush returns it too
			}
			w.Write(values.answer(w.AvailableBuffer(), args))
		}
		if err != nil || w.Flush() != nil {
			return
		}
		r.Discard(used)
		if _, err := r.Peek(r.Buffered() + 1); err != nil { // also if a command exceeds the buffer
			return
		}
	}
}
