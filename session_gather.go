package chanio

// RecvBatch of a udp session: datagrams enter recv one by one, as they do for
// Recv, and a goroutine gathers them into batches.

// startGathering makes recvBatch and starts its sender. If recv is closed
// already, it does the sender's work instead. The caller holds mu.
func (s *Session) startGathering() {
	s.gathering = true
	if s.recvClosed {
		var all []*Batch
		for b := s.gatherNow(NewBatch(), s.set.RecvQueue); b.Len() > 0; b = s.gatherNow(NewBatch(), s.set.RecvQueue) {
			all = append(all, b)
		}
		s.recvBatch = make(chan *Batch, len(all))
		for _, b := range all {
			s.recvBatch <- b
		}
		close(s.recvBatch)
		return
	}
	s.recvBatch = make(chan *Batch, min(1, s.set.RecvQueue))
	s.refs.Add(1)
	go s.gatherLoop()
}

// gatherLoop sends on recvBatch and closes it. startGathering starts it; it ends with
// recv.
func (s *Session) gatherLoop() {
	defer s.release()
	defer close(s.recvBatch)
	for m := range s.recv {
		b := NewBatch()
		b.Append(m)
		if hand(s.recvBatch, s.gatherNow(b, s.set.RecvQueue), s.halted.wait()) != nil {
			s.notReceived(b)
			return
		}
	}
}

// notReceived counts b, and what is still in recv, as dropped. recv is closed, or
// is about to be.
func (s *Session) notReceived(b *Batch) {
	n, size := int64(b.Len()), int64(b.Size())
	b.Release()
	for m := range s.recv {
		n, size = n+1, size+int64(len(m))
	}
	s.dropped(n, size)
}

// dropped counts messages as dropped that were counted as received.
func (s *Session) dropped(messages, bytes int64) {
	s.stats.messagesReceived.Add(-messages)
	s.stats.bytesReceived.Add(-bytes)
	s.stats.messagesDropped.Add(messages)
}

// gatherNow adds what is in recv now to b, up to that many datagrams and 64 KiB.
func (s *Session) gatherNow(b *Batch, datagrams int) *Batch {
	for range datagrams {
		if b.Size() >= blockSize {
			break
		}
		select {
		case m, ok := <-s.recv:
			if !ok {
				return b
			}
			b.Append(m)
		default:
			return b
		}
	}
	return b
}
