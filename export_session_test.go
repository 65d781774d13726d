package chanio

import (
	"context"
	"net"
	"time"

	"example.com/chanio/internal/sock"
)

// NewSessionUnread is NewSession over a socket, with a reader that start starts.
func NewSessionUnread(ctx context.Context, conn net.Conn, o *Options) (s *Session, start func(), err error) {
	set, err := o.resolve(false)
	var tr transport
	if udp, ok := conn.(*net.UDPConn); ok {
		tr, set, err = givenDatagrams(ctx, udp, o)
	} else if err == nil {
		tr, err = newStream(conn), tune(conn, set)
	}
	if err != nil {
		return nil, nil, err
	}
	s = newSession(ctx, tr, set, nil)
	s.watch(ctx)
	s.watchHeard()
	return s, s.start, nil
}

// FailRead ends the reader, which was not started, as a read that returns err does.
func (s *Session) FailRead(err error) { s.endInput(s.tr.(*stream), s.readError(err)) }

// Pass makes d pass at once and the timer of a session that is not started fire.
func (s *Session) Pass(d time.Duration) {
	s.set.began = s.set.began.Add(-d)
	s.expire()
}

// PutUnless is Put that gives up when the channel is closed.
func (s *Session) PutUnless(p []byte, giveUp <-chan struct{}) error { return s.put(p, giveUp) }

// BeginPut makes a Put begin. The result sends what it puts and ends it.
func (s *Session) BeginPut() (finish func(p []byte), ok bool) {
	leave, ok := s.EnterPut()
	if !ok {
		return nil, false
	}
	return func(p []byte) {
		s.needWriter().send <- p
		leave()
	}, true
}

// EnterPut makes a Put begin, which leave ends.
func (s *Session) EnterPut() (leave func(), ok bool) {
	if !s.puts.enter() {
		return nil, false
	}
	return func() {
		if s.puts.leave() {
			s.putsGone()
		}
	}, true
}

// TakeTurn takes the turn as a Put that writes by itself does. write accepts m
// or b, unless it is nil, and writes; it is nil if the Put would not write.
func (s *Session) TakeTurn() (write func(m []byte, b *Batch)) {
	o := s.takeTurn()
	if o == nil {
		return nil
	}
	return func(m []byte, b *Batch) {
		if m != nil {
			s.accept(o, m, true)
		}
		if b != nil {
			s.acceptBatch(o, b, true)
		}
		s.writeNow(o)
	}
}

// AllowAnswer is what the reader calls before it delivers what a Put may answer.
func (s *Session) AllowAnswer() { s.allowAnswer() }

// Queued returns how many messages are in Recv, and how many it has room for.
func (s *Session) Queued() (messages, room int) { return len(s.recv), cap(s.recv) }

// HasWriter reports whether the writer runs or has run.
func (s *Session) HasWriter() bool { return s.life().hasWriter() }

// HasSendQueue reports whether there is memory for messages to send.
func (s *Session) HasSendQueue() bool {
	o := s.output.Load()
	return o != nil && o.send != nil
}

// OwesReply reports whether a reply of the framing waits to be sent.
func (s *Session) OwesReply() bool { return s.framed.owes.Load() }

// EndFailed is called where the end of stream could not be sent.
func (s *Session) EndFailed(err error) { s.endFailed(err) }

// Parts returns how many parts the writer's batch has.
func (s *Session) Parts() int { return len(s.output.Load().batch.parts) }

// MessageSizes returns how small and how large a message can be.
func (s *Session) MessageSizes() (least, most int) {
	return int(s.traits.minMessage), int(s.traits.maxMessage)
}

// Flushes returns how many calls of Flush wait.
func (s *Session) Flushes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.flushes)
}

// Settings returns the options of the session with their defaults.
func (s *Session) Settings() Options { return s.set.Options }

// SessionCodec returns the codec of the session's framing.
func (s *Session) SessionCodec() Codec { return s.set.codec }

// Halted returns a channel that is closed when nothing more is delivered.
func (s *Session) Halted() <-chan struct{} { return s.halted.wait() }

func (s *Session) BeginClose()   { s.beginClose() }
func (s *Session) Halt()         { s.halt() }
func (s *Session) WriteExpired() { s.writeExpired() }

// StreamIsRaw reports whether the session reads its socket itself, and whether
// its connection has one.
func (s *Session) StreamIsRaw() (raw, socket bool) {
	t := s.tr.(*stream)
	return t.raw != nil, sock.Of(t.conn) != nil
}

// TLSIsRaw reports whether the library itself reads the socket under TLS.
func (s *Session) TLSIsRaw() bool {
	t, ok := s.tr.(*tlsStream)
	return ok && t.raw != nil
}

// Records is what the session has to send as TLS records.
func (s *Session) Records() *recordConn { return s.records }

func (c *recordConn) Post(p []byte) (owed bool, err error) { return c.post(p) }
func (c *recordConn) Flush() error                         { return c.flush() }

// Left returns how many bytes of records remain to be sent.
func (c *recordConn) Left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.left)
}

// SentEnd reports whether the end of stream was sent.
func (s *Session) SentEnd() bool { return s.life().output() >= outputEnded }

// Socket is the session's socket; nil if there is none.
func (s *Session) Socket() *sock.Socket { return s.socket }

// BeginMessage starts MessageTimeout as a read does that continues a message.
func (s *Session) BeginMessage() { s.watchMessage(true) }

// NoteLoss records err as that of a datagram that was lost.
func (s *Session) NoteLoss(err error) {
	s.writing()
	s.losses().note(err)
}
