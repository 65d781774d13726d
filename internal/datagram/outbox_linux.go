package datagram

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// The bounds of one sendmmsg.
const (
	writeMessages = 32          // messages, each of which GSO can make up of many datagrams
	maxSegments   = 64          // datagrams in a message: what every kernel allows
	maxSegmented  = MaxPayload4 // bytes in a message, which is one datagram to the kernel at first
	outControl    = 64          // bytes of control messages: the path, and the size of segments
)

// outbox is the memory of one sendmmsg.
type outbox struct {
	msgs     [writeMessages]ipv4.Message
	addrs    [writeMessages]net.UDPAddr
	controls [writeMessages][outControl]byte
	ips      [writeMessages][16]byte
	counts   [writeMessages]int // how many datagrams are in each message
	used     int                // how many messages there are
	payloads [][]byte
}

var outboxes = sync.Pool{New: func() any { return new(outbox) }}

// free gives the memory back, and with it all that is not its own.
func (o *outbox) free() {
	o.clear()
	outboxes.Put(o)
}

func (o *outbox) clear() {
	clear(o.payloads)
	clear(o.msgs[:o.used])
	o.payloads, o.used = o.payloads[:0], 0
}

// pack fills the outbox with the first of ps, with GSO for segments of at most
// largest bytes.
func (o *outbox) pack(c *Conn, ps []Packet, largest int) {
	o.clear()
	for ; o.used < writeMessages && len(ps) > 0; o.used++ {
		n := segments(ps, largest)
		o.add(c, ps[:n])
		ps = ps[n:]
	}
}

// segments returns how many of the first of ps can go as one message: they take
// the same path and have one size, but for the last, which may be shorter.
func segments(ps []Packet, largest int) int {
	first := &ps[0]
	size := len(first.Data)
	if size == 0 || size > largest {
		return 1
	}
	n, total := 1, size
	for n < min(len(ps), maxSegments) {
		p := &ps[n]
		length := len(p.Data)
		if length == 0 || length > size || total+length > maxSegmented ||
			p.Addr != first.Addr || p.Local != first.Local || p.IfIndex != first.IfIndex {
			break
		}
		n++
		total += length
		if length < size {
			break
		}
	}
	return n
}

// add makes ps the next message.
func (o *outbox) add(c *Conn, ps []Packet) {
	start := len(o.payloads)
	for i := range ps {
		o.payloads = append(o.payloads, ps[i].Data)
	}
	m := &o.msgs[o.used]
	m.Buffers = o.payloads[start:len(o.payloads):len(o.payloads)]
	if !c.connected {
		m.Addr = o.address(ps[0].Addr)
	}
	m.OOB = o.control(c, ps)
	o.counts[o.used] = len(ps)
}

// address returns the next message's destination in the form that x/net wants,
// in memory of the outbox.
func (o *outbox) address(to netip.AddrPort) net.Addr {
	a, ip := &o.addrs[o.used], &o.ips[o.used]
	addr := to.Addr().Unmap()
	if addr.Is4() {
		b := addr.As4()
		a.IP = append(ip[:0], b[:]...)
	} else {
		*ip = addr.As16()
		a.IP = ip[:]
	}
	a.Port, a.Zone = int(to.Port()), addr.Zone()
	return a
}

// control returns the next message's control messages, in memory of the outbox.
func (o *outbox) control(c *Conn, ps []Packet) []byte {
	all := o.controls[o.used][:]
	rest := all
	if source, ifIndex := c.path(&ps[0]); source.IsValid() || ifIndex != 0 {
		rest = putPath(rest, ps[0].Addr.Addr().Unmap().Is4(), source, ifIndex)
	}
	if len(ps) > 1 {
		var data []byte
		data, rest = putControl(rest, unix.SOL_UDP, unix.UDP_SEGMENT, 2)
		binary.NativeEndian.PutUint16(data, uint16(len(ps[0].Data)))
	}
	return all[:len(all)-len(rest)]
}

// putPath writes the control message that chooses the source address and the
// interface. An AF_INET6 socket takes IPv4's for an IPv4 destination.
func putPath(b []byte, is4 bool, source netip.Addr, ifIndex int) (rest []byte) {
	var data []byte
	if is4 { // struct in_pktinfo: index, source, and a field that is ignored
		data, rest = putControl(b, unix.SOL_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
		binary.NativeEndian.PutUint32(data, uint32(ifIndex))
		if source.IsValid() {
			from := source.As4()
			copy(data[4:], from[:])
		}
		return rest
	}
	data, rest = putControl(b, unix.SOL_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
	if source.IsValid() {
		from := source.As16()
		copy(data, from[:])
	}
	binary.NativeEndian.PutUint32(data[16:], uint32(ifIndex))
	return rest
}

// putControl writes a control message with n zero bytes of data to the front of
// b. It returns the data and what is left of b.
func putControl(b []byte, level, kind int32, n int) (data, rest []byte) {
	space := unix.CmsgSpace(n)
	clear(b[:space])
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(n))
	return b[unix.CmsgLen(0):unix.CmsgLen(n)], b[space:]
}
