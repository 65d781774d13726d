package chanio

import "example.com/chanio/internal/datagram"

const (
	// undeliveredDatagrams is how many datagrams a session holds that nobody has
	// received from Sessions.
	undeliveredDatagrams = 2
	// recvBytes bounds the bytes in Recv of a udp listener's session.
	recvBytes = 256 << 10
)

// A peerQueue is what a peer has sent and nobody has received: in memory of its own
// until somebody asks for messages, then in the session's recv. It is bounded in
// datagrams and in bytes.
type peerQueue struct {
	open  bool      // it holds more than undeliveredDatagrams
	held  [][]byte  // until recv is made
	sizes *sizeRing // of what is in recv
}

// fits returns how many of the datagrams there is room for, and the room that there
// is for all.
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

// len returns how many datagrams wait.
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

// moveTo moves what is held to recv, which was made now.
func (q *peerQueue) moveTo(recv chan []byte) {
	q.sizes = newSizeRing(cap(recv))
	held := q.held
	q.held = nil
	for _, m := range held {
		q.put(recv, m)
	}
}

// A sizeRing knows the sizes of the datagrams that are in a channel, from which
// others receive.
type sizeRing struct {
	sizes  []uint16 // as many as the channel holds
	first  int      // where the oldest one is
	count  int
	summed int
}

func newSizeRing(n int) *sizeRing { return &sizeRing{sizes: make([]uint16, n)} }

// push adds a size; those of what was received are gone from sum's last call on.
func (r *sizeRing) push(size int) {
	r.sizes[(r.first+r.count)%len(r.sizes)] = uint16(size)
	r.count++
	r.summed += size
}

// sum returns how many bytes the newest left datagrams are.
func (r *sizeRing) sum(left int) int {
	for r.count > left {
		r.summed -= int(r.sizes[r.first])
		r.first = (r.first + 1) % len(r.sizes)
		r.count--
	}
	return r.summed
}
