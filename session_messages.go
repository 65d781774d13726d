package chanio

// A form is how a session delivers its messages.
type form uint32

const (
	formUnknown  form = iota // messages were not asked for yet
	formMessages             // one by one, by Recv
	formBatches              // by RecvBatch
)

const (
	// Messages of up to smallMessage bytes share slabs of slabSize bytes.
	// Keeping one small message thus keeps at most slabSize bytes alive.
	smallMessage = 128
	slabSize     = 1 << 10
)

// Recv returns the channel of what the peer sent: on a raw stream what one read
// returned, with framing whole messages, on udp datagrams.
//
// The session's reader sends on the channel and closes it once: after the
// peer's end of stream, following the last message; after a framing error, with
// Err set; and at once after Close, Abort or the end of the context, dropping
// what has not been put into the channel by then. If it is closed because of an
// error, Err is set first. It buffers Options.RecvQueue messages. If they are
// not received, reading stops, and TCP's window then stops the peer; a udp
// session drops and counts. The receiver owns each slice, whose capacity is its
// length.
//
// The first call of Recv or RecvBatch decides which of the two delivers the
// messages. The other's channel yields nothing and is closed with this one.
func (s *Session) Recv() <-chan []byte {
	s.ask(formMessages)
	return s.recv
}

// RecvBatch returns the channel of what the peer sent, many messages in one
// value: what one read completed, which is at least one message, and at most 64
// KiB or one larger message. On a raw stream a batch is one message. A batch of
// a udp session takes in further datagrams until it is received.
//
// The contract of Recv applies, with two differences. The receiver owns a batch
// only until it sends or releases it, and may only read it. The channel buffers
// one batch, or none if Options.RecvQueue is negative.
func (s *Session) RecvBatch() <-chan *Batch {
	s.ask(formBatches)
	return s.recvBatch
}

// ask makes f the form of the messages unless a form was asked for before, and
// makes f's channel.
func (s *Session) ask(f form) {
	if form(s.form.Load()) == f {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f == formMessages && s.recv == nil {
		s.makeRecv()
	}
	if f == formBatches && s.recvBatch == nil {
		s.makeRecvBatch()
	}
	if s.form.CompareAndSwap(uint32(formUnknown), uint32(f)) && s.asked != nil {
		close(s.asked)
	}
}

// makeRecv makes recv, with what a peer of a udp listener holds. The caller holds mu.
func (s *Session) makeRecv() {
	p, ok := s.tr.(*peer)
	if ok { // another session may have left more than Recv holds
		s.recv = make(chan []byte, max(s.set.RecvQueue, len(p.queue.held)))
		p.queue.moveTo(s.recv)
	} else {
		s.recv = make(chan []byte, s.set.RecvQueue)
	}
	if s.recvClosed {
		close(s.recv)
	}
}

// closeRecv closes the channels of received messages. The reader calls it after
// its last delivery.
func (s *Session) closeRecv() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeRecvLocked()
}

// closeRecvLocked is closeRecv for callers that hold mu.
func (s *Session) closeRecvLocked() {
	s.recvClosed = true
	if s.recv != nil {
		close(s.recv)
	}
	if s.recvBatch != nil {
		close(s.recvBatch)
	}
}

// awaitForm waits until a form has been asked for.
func (s *Session) awaitForm() (form, error) {
	if f := form(s.form.Load()); f != formUnknown {
		return f, nil
	}
	s.mu.Lock()
	if s.asked == nil {
		s.asked = make(chan struct{})
		if form(s.form.Load()) != formUnknown {
			close(s.asked)
		}
	}
	asked := s.asked
	s.mu.Unlock()
	s.beginUnread()
	defer s.endUnread()
	select {
	case <-asked:
		return form(s.form.Load()), nil
	case <-s.halted.wait():
		return formUnknown, errHalted
	}
}

// deliver delivers the messages of in unless delivery has stopped.
func (s *Session) deliver(in *inbox) error {
	if in.out.buf == nil {
		return nil
	}
	s.messageWhole() // before it waits for a receiver
	f, err := s.awaitForm()
	if err != nil {
		return err
	}
	if f == formBatches {
		return s.deliverBatch(in)
	}
	in.copies = true
	return s.deliverMessages(in)
}

// deliverBatch delivers the messages as one batch.
func (s *Session) deliverBatch(in *inbox) error {
	b := &Batch{batchMemory: in.out}
	in.out = batchMemory{}
	n := int64(b.Len())
	s.stats.messagesReceived.Add(n)
	s.allowAnswer()
	if err := handOut(s, s.recvBatch, b); err != nil {
		s.stats.messagesReceived.Add(-n)
		b.Release()
		return err
	}
	return nil
}

// deliverMessages delivers the messages one by one.
func (s *Session) deliverMessages(in *inbox) error {
	for i := range in.out.buf.Spans {
		s.stats.messagesReceived.Add(1)
		if i == len(in.out.buf.Spans)-1 {
			s.allowAnswer()
		}
		if err := handOut(s, s.recv, in.message(i)); err != nil {
			s.stats.messagesReceived.Add(-1)
			return err
		}
	}
	if !in.out.buf.Owned() { // an owned one may be a message's memory
		in.out.buf.Free()
	}
	in.out, in.slab = batchMemory{}, nil
	return nil
}

// handOut sends v on c unless delivery has stopped.
func handOut[T any](s *Session, c chan<- T, v T) error {
	select {
	case c <- v:
		return nil
	default:
	}
	s.beginUnread()
	defer s.endUnread()
	return hand(c, v, s.halted.wait())
}

// hand sends v on c unless halted is closed.
func hand[T any](c chan<- T, v T, halted <-chan struct{}) error {
	select {
	case c <- v: // a select with one channel is cheaper
		return nil
	default:
	}
	select {
	case c <- v:
		return nil
	case <-halted:
		return errHalted
	}
}

// message returns message i of out for its receiver to keep: never nil, and
// with its length as its capacity. A message that was read into its own memory
// is returned as is; others are copied. Small ones are cut from a slab, since
// an allocation for each would dominate their cost.
func (in *inbox) message(i int) []byte {
	at := in.out.buf.Spans[i]
	m := in.out.buf.B[at.Start:at.End:at.End]
	switch {
	case len(m) == 0:
		return []byte{}
	case in.out.buf.Owned() && len(in.out.buf.Spans) == 1 && len(m) > len(in.out.buf.B)/2:
		return m
	case len(m) > smallMessage || in.codec == nil:
		m = append([]byte(nil), m...)
		return m[:len(m):len(m)]
	case len(m) > cap(in.slab)-len(in.slab):
		in.slab = make([]byte, 0, min(slabSize, in.small(i)))
	}
	start := len(in.slab)
	in.slab = append(in.slab, m...)
	return in.slab[start:len(in.slab):len(in.slab)]
}

// small returns how many bytes the messages of out from i on have that will share a
// slab, or slabSize if they are more.
func (in *inbox) small(i int) (size int) {
	for _, at := range in.out.buf.Spans[i:] {
		if n := int(at.End - at.Start); n <= smallMessage {
			size += n
		}
		if size >= slabSize {
			return slabSize
		}
	}
	return size
}
