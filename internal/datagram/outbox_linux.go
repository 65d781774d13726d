package datagram

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The bounds of one sendmmsg.
const (
	writeMessages = 32          // messages, each of which can hold many datagrams with GSO
	maxSegments   = 64          // datagrams per message: what every kernel allows
	maxSegmented  = MaxPayload4 // bytes per message, which the kernel first handles as one datagram
	outControl    = 64          // bytes of control messages: the path and the segment size
)

// copyLimit is the size up to which a datagram that goes out alone is copied
// into the outbox: that of an Ethernet frame. A system call on memory that the
// library has just written need not be announced to Go's scheduler, which would
// cost more than the copy.
const copyLimit = 1 << 11

// outbox is the memory of one sendmmsg. It makes the system call itself: x/net's
// WriteBatch allocates, and looks up zones in a cache that may be a minute old.
type outbox struct {
	msgs     [writeMessages]message
	controls [writeMessages][outControl]byte // aligned like msgs
	names    [writeMessages]unix.RawSockaddrInet6
	vectors  []unix.Iovec
	counts   [writeMessages]int // datagrams in each message
	used     int                // number of messages
	alone    [copyLimit]byte    // the copy of a datagram that goes out alone
	copied   bool               // alone is in use

	try   func(fd uintptr)      // send, made once
	await func(fd uintptr) bool // sendWhenReady, made once
	sent  int                   // how many messages the last call sent
	errno syscall.Errno         // of the last call
}

var outboxes = sync.Pool{New: func() any {
	o := new(outbox)
	o.try, o.await = o.send, o.sendWhenReady
	return o
}}

// free clears all references to others' memory and returns the outbox to the
// pool.
func (o *outbox) free() {
	o.clear()
	outboxes.Put(o)
}

func (o *outbox) clear() {
	clear(o.vectors)
	clear(o.msgs[:o.used])
	o.vectors, o.used, o.copied = o.vectors[:0], 0, false
}

// send sends as many of the messages as there is room for.
func (o *outbox) send(fd uintptr) {
	for {
		var n uintptr
		if o.copied {
			o.errno = o.sendAlone(fd)
			n = 1
		} else {
			n, _, o.errno = unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&o.msgs)), uintptr(o.used), unix.MSG_DONTWAIT, 0, 0)
		}
		switch o.errno {
		case 0:
			o.sent = int(n)
		case unix.EINTR:
			continue
		default:
			o.sent = 0
		}
		return
	}
}

// sendAlone sends the datagram that was copied. For an echo server with a
// hundred peers and one datagram in flight each, sendto(2) gains a fifth over
// sendmmsg.
func (o *outbox) sendAlone(fd uintptr) (errno syscall.Errno) {
	h := &o.msgs[0].header
	if h.Control != nil {
		_, _, errno = unix.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(h)), unix.MSG_DONTWAIT)
		return errno
	}
	_, _, errno = unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(h.Iov.Base)), uintptr(h.Iov.Len),
		unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(h.Name)), uintptr(h.Namelen))
	return errno
}

// sendWhenReady is send for RawConn.Write, which waits if it returns false.
func (o *outbox) sendWhenReady(fd uintptr) bool {
	o.send(fd)
	return o.errno != unix.EAGAIN
}

// messageCharge is more than the kernel charges for a message of up to an Ethernet
// frame's size beyond its data, and about what it charges for larger ones.
const messageCharge = 1 << 10

// charge returns about what the kernel charges for ps as one message.
func charge(ps []Packet) int {
	bytes := messageCharge
	for i := range ps {
		bytes += len(ps[i].Data)
	}
	return bytes
}

// pack fills the outbox with the first of ps: one message, and more as long as
// account has credit. If it has none, others have taken it since this sender
// looked, and the message is one datagram: together they could fill the buffer
// before anyone looks again. limit returns the largest segment for which GSO may
// be used.
func (o *outbox) pack(c *Conn, ps []Packet, limit func(to netip.Addr) int, account *silentNeighbors) {
	o.clear()
	// Messages point into vectors, which must not move.
	o.vectors = slices.Grow(o.vectors, min(len(ps), writeMessages*maxSegments))
	if len(ps) == 1 && len(ps[0].Data) <= copyLimit {
		copy(o.alone[:], ps[0].Data)
		o.copied = true
	}
	for ; o.used < writeMessages && len(ps) > 0; o.used++ {
		n := 1
		if len(ps) > 1 {
			n = segments(ps, limit(ps[0].Addr.Addr()), account.room())
		}
		if !account.take(charge(ps[:n])) {
			if o.used > 0 {
				return
			}
			n = 1
		}
		o.add(c, ps[:n])
		ps = ps[n:]
	}
}

// segments returns how many of the first of ps can go as one message: they take
// the same path and have the same size, except the last, which may be shorter.
// More than one have room bytes together.
func segments(ps []Packet, largest, room int) int {
	first := &ps[0]
	size := len(first.Data)
	if size == 0 || size > largest {
		return 1
	}
	n, total, most := 1, size, min(room, maxSegmented)
	for n < min(len(ps), maxSegments) {
		p := &ps[n]
		length := len(p.Data)
		if length == 0 || length > size || total+length > most ||
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
	start := len(o.vectors)
	for i := range ps {
		data := ps[i].Data
		if o.copied {
			data = o.alone[:len(data)]
		}
		v := unix.Iovec{Base: unsafe.SliceData(data)}
		v.SetLen(len(data))
		o.vectors = append(o.vectors, v)
	}
	h := &o.msgs[o.used].header
	h.Iov = &o.vectors[start]
	h.SetIovlen(len(ps))
	if !c.connected {
		h.Name = (*byte)(unsafe.Pointer(&o.names[o.used]))
		h.Namelen = o.address(c, &ps[0])
	}
	if control := o.control(c, ps); len(control) > 0 {
		h.Control = &control[0]
		h.SetControllen(len(control))
	}
	o.counts[o.used] = len(ps)
}

// address writes the next message's destination in the kernel's form and returns
// its size.
func (o *outbox) address(c *Conn, p *Packet) (size uint32) {
	name := &o.names[o.used]
	to := p.Addr.Addr().Unmap()
	var port uint16 // in network byte order
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&port))[:], p.Addr.Port())
	if to.Is4() && !c.v6 {
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(name)) = unix.RawSockaddrInet4{
			Family: unix.AF_INET, Port: port, Addr: to.As4(),
		}
		return unix.SizeofSockaddrInet4
	}
	// IPv4 over an AF_INET6 socket takes a mapped address. The kernel refuses
	// IPv6 over an AF_INET socket.
	*name = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: to.As16(), Scope_id: uint32(c.scope(p))}
	return unix.SizeofSockaddrInet6
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
// b. It returns the data and the rest of b.
func putControl(b []byte, level, kind int32, n int) (data, rest []byte) {
	space := unix.CmsgSpace(n)
	clear(b[:space])
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(n))
	return b[unix.CmsgLen(0):unix.CmsgLen(n)], b[space:]
}
