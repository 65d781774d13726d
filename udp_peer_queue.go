package chanio

import "example.com/chanio/internal/datagram"

const (
	// undeliveredDatagrams is how many datagrams a session holds until it has
	// been received from Sessions.
	undeliveredDatagrams = 2
	// recvBytes bounds the bytes in Recv of a udp session.
	recvBytes = 256 << 10
)

// A peerQueue holds what a peer has sent and the session has not yet received.
// It is a slice until messages are first asked for, then the session's recv. It
// is bounded in datagrams and in bytes.
type peerQueue struct {
	open  bool      // it may hold more than undeliveredDatagrams
	held  [][]byte  // until recv is made
	sizes *sizeRing // of what is in recv
}

// fits returns how many of the datagrams there is room for.
func (q *peerQueue) fits(recv chan []byte, limit int, run []datagram.Packet) (n int) {
	if recv == nil && !q.open {
		limit = min(limit, undeliveredDatagrams)
	}
	room := limit - q.len(recv)
	bytes := q.bytes(recv)
	for n < min(room, len(run)) {
		bytes += len(run[n].Data)
		if bytes > recvBytes {
			break
		}
		n++
	}
	return n
}

// len returns how many datagrams are queued.
func (q *peerQueue) len(recv chan []byte) int { return len(q.held) + len(recv) }

func (q *peerQueue) bytes(recv chan []byte) (n int) {
	if recv != nil {
		return q.sizes.sum(len(recv))
	}
	for _, m := range q.held {
		n += len(m)
	}
	return n
}

// put adds a datagram that fits.
func (q *peerQueue) put(recv chan []byte, m []byte) {
	if recv == nil {
		q.held = append(q.held, m)
		return
	}
	q.sizes.push(len(m))
	recv <- m
}

// moveTo moves what is held to recv, which was just made.
func (q *peerQueue) moveTo(recv chan []byte) {
	q.sizes = newSizeRing(cap(recv))
	held := q.held
	q.held = nil
	for _, m := range held {
		q.put(recv, m)
	}
}

// A sizeRing tracks the sizes of the datagrams in a channel from which others
// receive.
type sizeRing struct {
	sizes  []uint16 // as many as the channel holds
	first  int      // index of the oldest
	count  int
	summed int
}

func newSizeRing(n int) *sizeRing { return &sizeRing{sizes: make([]uint16, n)} }

// push adds a size. The last call of sum has removed the sizes of what was
// received.
func (r *sizeRing) push(size int) {
	r.sizes[(r.first+r.count)%len(r.sizes)] = uint16(size)
	r.count++
	r.summed += size
}

// sum returns the size in bytes of the newest left datagrams and forgets the
// others.
func (r *sizeRing) sum(left int) int {
	for r.count > left {
		r.summed -= int(r.sizes[r.first])
		r.first = (r.first + 1) % len(r.sizes)
		r.count--
	}
	return r.summed
}
