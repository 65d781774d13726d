package chanio

import "example.com/chanio/internal/sharedlog"

// An outDatagrams describes the parts of a batch in which each part is a
// datagram. They are sent, or fail, one by one.
type outDatagrams struct {
	owners []owner
	ends   []int // scratch: where a hub's messages end
	done   int   // parts that were sent or failed
	loss   loss  // since the last Flush, of any owner
}

// An owner says to which member a run of parts belongs.
type owner struct {
	m   *member // nil for parts from Send
	end int     // the first part after the run
}

// reset empties d and keeps its memory.
func (d *outDatagrams) reset() {
	clear(d.owners)
	d.owners, d.done = d.owners[:0], 0
}

// free releases memory like outBatch.free, except what one message needs.
func (d *outDatagrams) free() {
	if cap(d.owners) > 4 {
		d.owners = nil
	}
	d.ends = nil
}

// addDatagrams adds messages of m: those that are back to back in chunk, each up
// to one of ends, or a single one in pieces.
func (b *outBatch) addDatagrams(m *member, chunk sharedlog.Chunk) {
	if chunk.More != nil {
		whole := append(make([]byte, 0, chunk.Bytes), chunk.Data...)
		for _, p := range chunk.More {
			whole = append(whole, p...)
		}
		b.addDatagram(whole)
		b.own(m)
		return
	}
	start := 0
	for _, end := range b.datagrams.ends {
		b.addDatagram(chunk.Data[start:end])
		start = end
	}
	b.own(m)
}

func (b *outBatch) addDatagram(p []byte) {
	b.messages++
	b.size += len(p)
	b.parts = append(b.parts, p)
}

// own records that the parts after the last owner's run are m's.
func (b *outBatch) own(m *member) {
	if n := len(b.datagrams.owners); n > 0 && b.datagrams.owners[n-1].m == m {
		b.datagrams.owners[n-1].end = len(b.parts)
		return
	}
	b.datagrams.owners = append(b.datagrams.owners, owner{m, len(b.parts)})
}

// failed records that the next datagram will not be sent. It returns the
// datagram and its owner.
func (b *outBatch) failed() (p []byte, m *member) {
	p = b.parts[b.datagrams.done]
	for _, o := range b.datagrams.owners {
		if b.datagrams.done < o.end {
			m = o.m
			break
		}
	}
	b.datagrams.done++
	b.messages--
	b.size -= len(p)
	return p, m
}

// undone yields the datagrams that were neither sent nor failed, with their
// owners.
func (b *outBatch) undone(yield func(m *member, p []byte) bool) {
	i := b.datagrams.done
	for _, o := range b.datagrams.owners {
		for ; i < o.end; i++ {
			if !yield(o.m, b.parts[i]) {
				return
			}
		}
	}
}
