package datagram

import (
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// batchWriter sends with sendmmsg.
type batchWriter struct {
	conn      *Conn
	limits    segmentLimits
	neighbors silentNeighbors
}

// write sends ps, like [Conn.Write].
func (w *batchWriter) write(ps []Packet) (n int, err error) {
	out := outboxes.Get().(*outbox)
	defer out.free()
	for n < len(ps) {
		sent, err := w.sendSome(out, ps[n:], w.limits.of)
		n += sent
		if err == nil {
			continue
		}
		if w.conn.connected && tooBig(err) && out.counts[0] > 1 {
			// An ICMP message said so of an earlier datagram, or the segments are
			// too big.
			sent, err = w.sendSome(out, ps[n:n+out.counts[0]], w.limits.of)
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
		first := &ps[n]
		sent, alone := w.sendSome(out, ps[n:n+count], singly)
		n += sent
		if sent > 0 { // so it was the segments that were refused
			w.limits.refuse(first.Addr.Addr(), len(first.Data), err)
		}
		if alone != nil {
			return n, alone
		}
	}
	return n, nil
}

// sendSome sends ps, with GSO as far as limit allows, until a message fails. The
// failed message is then the first in out.
func (w *batchWriter) sendSome(out *outbox, ps []Packet, limit func(netip.Addr) int) (n int, err error) {
	refused := false // the last sendmmsg may have ended early because of a refusal
	for n < len(ps) {
		next, err := w.neighbors.admit(w.conn, ps[n:])
		if err != nil {
			return n, err
		}
		out.pack(w.conn, next, limit, &w.neighbors)
		sent, err := w.sendBatch(out)
		if refused && (err == nil || refusal(err, true)) {
			w.conn.refused.Add(1) // otherwise the next message itself ended it
		}
		if err != nil {
			return n, err
		}
		refused = sent < out.used && w.conn.connected && w.hasRoom()
		w.neighbors.check()
		for _, count := range out.counts[:sent] {
			n += count
		}
	}
	return n, nil
}

// sendBatch sends as many of the first messages of out as possible. It sets a
// deadline only if it must wait.
func (w *batchWriter) sendBatch(out *outbox) (int, error) {
	if err := w.conn.raw.Control(out.try); err != nil {
		return 0, err
	}
	if out.errno == unix.EAGAIN {
		if d := w.conn.timeout; d > 0 {
			if err := w.conn.sock.SetWriteDeadline(time.Now().Add(d)); err != nil {
				return 0, err
			}
		}
		if err := w.conn.raw.Write(out.await); err != nil {
			return 0, err
		}
	}
	if out.errno != 0 {
		return 0, os.NewSyscallError("sendmmsg", out.errno)
	}
	return out.sent, nil
}

// hasRoom reports whether the socket's send buffer is far from full. A sendmmsg
// that ends early does not say why (sendmmsg(2), BUGS). If there is room, that
// was not the reason; on a connected socket it may have been an ICMP refusal.
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

// writeNow makes one system call, unless a neighbor is sought: then write may
// have to wait.
func (w *batchWriter) writeNow(ps []Packet) (n int) {
	w.neighbors.check()
	if w.neighbors.sought.Load() != nil {
		return 0
	}
	out := outboxes.Get().(*outbox)
	defer out.free()
	out.pack(w.conn, ps, w.limits.of, &w.neighbors)
	if w.conn.raw.Control(out.try) != nil || out.errno != 0 {
		return 0
	}
	for _, count := range out.counts[:out.sent] {
		n += count
	}
	return n
}
