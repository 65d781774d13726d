package chanio

import "example.com/chanio/internal/datagram"

// RecvBatch of a udp session. Its reader adds datagrams to the batch that still
// waits in recvBatch. A receiver that is late thus gets them all at once, without
// a channel operation for each, and the session holds one batch however many
// arrive.

// takeBack appends what waits in recvBatch to waiting, oldest first. The caller
// is the only sender, and must give it back.
func (s *Session) takeBack(waiting []*Batch) []*Batch {
	for {
		select {
		case b := <-s.recvBatch:
			waiting = append(waiting, b)
		default:
			return waiting
		}
	}
}

// giveBack sends batches on recvBatch, which has room for them.
func (s *Session) giveBack(batches []*Batch) {
	for _, b := range batches {
		s.recvBatch <- b
	}
}

// gather adds as many of the datagrams to waiting, of up to limit batches, as
// there is room for. It returns how many.
func gather(waiting []*Batch, limit int, run []datagram.Packet) (grown []*Batch, n int) {
	if last := len(waiting) - 1; last >= 0 {
		n = waiting[last].fill(run)
	}
	for n < len(run) && len(waiting) < limit {
		b := NewBatch()
		n += b.fill(run[n:])
		waiting = append(waiting, b)
	}
	return waiting, n
}

// fill adds as many of the datagrams as a batch of a session holds: at least one
// to an empty batch. It returns how many.
func (b *Batch) fill(run []datagram.Packet) (n int) {
	more := 0
	for n < len(run) && b.Len()+n < maxCut && b.Size()+more+len(run[n].Data) <= blockSize {
		more += len(run[n].Data)
		n++
	}
	if n == 0 {
		return 0
	}
	old, _ := b.reserve(more)
	for i := range run[:n] {
		b.added(copy(b.buf.B[b.used:], run[i].Data))
	}
	free(old)
	return n
}

// makeRecvBatch makes recvBatch. If that is the first form asked for, it holds
// what a udp session has received before. The caller holds mu.
func (s *Session) makeRecvBatch() {
	var early []*Batch
	if s.traits.ahead && form(s.form.Load()) == formUnknown {
		early = s.takeEarly()
	}
	s.recvBatch = make(chan *Batch, max(len(early), min(1, s.set.RecvQueue)))
	s.giveBack(early)
	if s.recvClosed {
		close(s.recvBatch)
	}
}

// takeEarly returns what arrived before a form was asked for. The caller holds
// mu, without which nothing more is added.
func (s *Session) takeEarly() []*Batch {
	var run []datagram.Packet
	if p, ok := s.tr.(*peer); ok {
		for _, m := range p.queue.held {
			run = append(run, datagram.Packet{Data: m})
		}
		p.queue.held = nil
	}
	for range len(s.recv) { // nobody else receives yet
		run = append(run, datagram.Packet{Data: <-s.recv})
	}
	early, _ := gather(nil, len(run), run)
	return early
}

// dropped counts messages as dropped that were counted as received.
func (s *Session) dropped(messages, bytes int64) {
	s.stats.messagesReceived.Add(-messages)
	s.stats.bytesReceived.Add(-bytes)
	s.stats.messagesDropped.Add(messages)
}
