package datagram

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// safeSegment is a size of segments that pass wherever datagrams of an Ethernet
// frame's size do, over IPv4 and IPv6.
const safeSegment = 1500 - 40 - 8

// batchWriter sends with sendmmsg.
type batchWriter struct {
	conn *Conn
	out  *ipv4.PacketConn // whose WriteBatch is the same for both families

	// largest is the largest segment that GSO is used for. It only ever falls:
	// to 0 when there is no GSO, else below the size that a route refused.
	largest atomic.Int32

	ferry  *ferry // nil where one goroutine writes at a time
	direct bool   // a datagram alone does not go by the ferry
}

func (w *batchWriter) init(c *Conn, udp *net.UDPConn, manyWriters bool) {
	w.conn = c
	w.out = ipv4.NewPacketConn(udp)
	w.largest.Store(maxSegmented)
	if manyWriters {
		w.ferry = &ferry{send: w.sendAll}
	}
}

func (w *batchWriter) write(ps []Packet) (n int, err error) {
	if w.direct && len(ps) == 1 {
		switch done, err := w.conn.sendDirect(&ps[0]); {
		case err != nil:
			return 0, err
		case done:
			return 1, nil
		}
	}
	if w.ferry != nil {
		return w.ferry.write(ps)
	}
	return w.sendAll(ps)
}

// sendAll sends ps, as [Conn.Write].
func (w *batchWriter) sendAll(ps []Packet) (n int, err error) {
	out := outboxes.Get().(*outbox)
	defer out.free()
	for n < len(ps) {
		sent, err := w.sendSome(out, ps[n:], int(w.largest.Load()))
		n += sent
		if err == nil {
			continue
		}
		if w.conn.connected && tooBig(err) && out.counts[0] > 1 {
			// An ICMP message said so of an earlier datagram, or it is the segments.
			sent, err = w.sendSome(out, ps[n:n+out.counts[0]], int(w.largest.Load()))
			n += sent
			if err == nil {
				w.conn.refused.Add(1)
				continue
			}
		}
		count := out.counts[0] // of the message that failed
		if count == 1 || !refusesSegments(err) {
			return n, err
		}
		segment := len(ps[n].Data)
		sent, singly := w.sendSome(out, ps[n:n+count], 0)
		n += sent
		if sent > 0 { // so it is the segments that were refused
			w.refuse(segment, err)
		}
		if singly != nil {
			return n, singly
		}
	}
	return n, nil
}

// sendSome sends ps with GSO for segments of at most largest bytes, until a message
// fails: then that is the first one in out.
func (w *batchWriter) sendSome(out *outbox, ps []Packet, largest int) (n int, err error) {
	refused := false // the last sendmmsg may have ended early for that
	for n < len(ps) {
		out.pack(w.conn, ps[n:], largest)
		sent, err := w.sendBatch(out.msgs[:out.used])
		if refused && (err == nil || refusal(err, true)) {
			w.conn.refused.Add(1) // else the next message was what ended it
		}
		if err != nil {
			return n, err
		}
		refused = sent < out.used && w.conn.connected && w.hasRoom()
		for _, count := range out.counts[:sent] {
			n += count
		}
	}
	return n, nil
}

// sendBatch sends the first of ms, or as many as can be. It asks for a deadline
// only if it has to wait; one that is left from an earlier wait and has passed
// fails the first try.
func (w *batchWriter) sendBatch(ms []ipv4.Message) (int, error) {
	n, err := w.out.WriteBatch(ms, unix.MSG_DONTWAIT)
	if err == nil {
		return n, nil
	}
	if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, err
	}
	if d := w.conn.timeout; d > 0 {
		if err := w.conn.sock.SetWriteDeadline(time.Now().Add(d)); err != nil {
			return 0, err
		}
	}
	return w.out.WriteBatch(ms, 0)
}

// hasRoom reports whether the socket's send buffer is far from full. A sendmmsg that
// ends early keeps its reason to itself (sendmmsg(2), BUGS), which is then no want
// of room; on a connected socket it may be an ICMP refusal.
func (w *batchWriter) hasRoom() (room bool) {
	w.conn.raw.Control(func(fd uintptr) {
		used, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		if err != nil {
			return
		}
		size, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
		room = err == nil && used < size/2
	})
	return room
}

// refusesSegments reports that err can be a refusal of GSO: EIO where the
// device computes no checksums, the others where the route's MTU is smaller than
// a segment.
func refusesSegments(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EMSGSIZE)
}

// refuse notes that err was the answer to segments of that size.
func (w *batchWriter) refuse(segment int, err error) {
	limit := int32(segment - 1)
	switch {
	case errors.Is(err, syscall.EIO):
		limit = 0
	case segment > safeSegment:
		limit = safeSegment
	}
	w.limit(limit)
}

// limit lets GSO be used for segments of at most size bytes from now on.
func (w *batchWriter) limit(size int32) {
	for {
		old := w.largest.Load()
		if old <= size || w.largest.CompareAndSwap(old, size) {
			return
		}
	}
}
