package datagram

import (
	"encoding/binary"
	"net/netip"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readMessages is how many messages one recvmmsg takes. With GRO each can hold
// 64 datagrams.
const readMessages = 16

// batchReader receives with recvmmsg. It makes the system call itself: x/net's
// ReadBatch holds its buffers while it waits and allocates an address per
// message.
type batchReader struct {
	conn  *Conn
	ready func(fd uintptr) bool // tryRead, made once
	seen  uint32                // the kernel's last reported count of dropped datagrams
	gro   bool                  // the kernel may coalesce datagrams

	// The result of tryRead, for read.
	in  *inbox
	err error
}

func (r *batchReader) init(c *Conn) {
	r.conn = c
	r.ready = r.tryRead
}

func (r *batchReader) read() (*batch, error) {
	if err := r.conn.raw.Read(r.ready); err != nil {
		return nil, err
	}
	in := r.in
	r.in = nil
	if r.err != nil {
		in.free()
		return nil, os.NewSyscallError("recvmmsg", r.err)
	}
	b := r.unpack(in.msgs[:in.used], in)
	b.memory = in
	return b, nil
}

// tryRead takes what is there and reports whether there was anything. Only then
// does it keep the buffers.
func (r *batchReader) tryRead(fd uintptr) bool {
	in := inboxes.Get().(*inbox)
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&in.msgs)), readMessages, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			in.used = int(n)
			r.in, r.err = in, nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			in.free()
			return false
		default:
			r.in, r.err = in, errno
		}
		return true
	}
}

// unpack returns the datagrams in the messages. Their Data is in's memory.
func (r *batchReader) unpack(msgs []message, in *inbox) *batch {
	b := newBatch()
	for i := range msgs {
		nt := r.parse(&msgs[i], in.controls[i][:])
		if nt.unknown {
			r.conn.dropped.Add(1)
			continue
		}
		p := Packet{Addr: r.address(&in.names[i]), Local: nt.local, IfIndex: nt.ifIndex}
		data := in.data[i*maxDatagram:]
		for part := range nt.parts(int(msgs[i].length)) {
			p.Data = data[:part:part]
			data = data[part:]
			b.packets = append(b.packets, p)
		}
	}
	return b
}

// address returns the address that the kernel wrote into sa.
func (r *batchReader) address(sa *unix.RawSockaddrInet6) netip.AddrPort {
	// The port is in the same place for both families, in network byte order.
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:])
	if sa.Family == unix.AF_INET {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), port)
	}
	addr := netip.AddrFrom16(sa.Addr).Unmap()
	return netip.AddrPortFrom(r.conn.zoner.zoned(addr, int(sa.Scope_id)), port)
}

// A note is what a message's control messages say.
type note struct {
	local   netip.AddrPort
	ifIndex int
	segment int  // the size of the datagrams that GRO coalesced; 0 for a single one
	unknown bool // the GRO size may have been cut off, which makes the message useless
}

// parts iterates over the sizes of the datagrams in a message of n bytes.
func (nt *note) parts(n int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		size := n
		if nt.segment > 0 {
			size = nt.segment
		}
		for n > size {
			if !yield(size) {
				return
			}
			n -= size
		}
		yield(n)
	}
}

// parse reads the control messages of m, which the kernel wrote into controls.
func (r *batchReader) parse(m *message, controls []byte) note {
	nt := note{local: r.conn.local}
	b := controls[:min(int(m.header.Controllen), len(controls))]
	for len(b) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			break
		}
		b = rest
		switch [2]int32{h.Level, h.Type} {
		case [2]int32{unix.SOL_IP, unix.IP_PKTINFO}:
			if len(data) >= unix.SizeofInet4Pktinfo {
				nt.ifIndex = int(binary.NativeEndian.Uint32(data))
				nt.setLocal(netip.AddrFrom4([4]byte(data[8:])))
			}
		case [2]int32{unix.SOL_IPV6, unix.IPV6_PKTINFO}:
			if len(data) >= unix.SizeofInet6Pktinfo {
				nt.ifIndex = int(binary.NativeEndian.Uint32(data[16:]))
				addr := netip.AddrFrom16([16]byte(data)).Unmap()
				nt.setLocal(r.conn.zoner.zoned(addr, nt.ifIndex))
			}
		case [2]int32{unix.SOL_UDP, unix.UDP_GRO}:
			if len(data) >= 4 {
				nt.segment = int(binary.NativeEndian.Uint32(data))
			}
		case [2]int32{unix.SOL_SOCKET, unix.SO_RXQ_OVFL}:
			if len(data) >= 4 {
				r.noteDropped(binary.NativeEndian.Uint32(data))
			}
		}
	}
	nt.unknown = m.header.Flags&unix.MSG_CTRUNC != 0 && nt.segment == 0 && r.gro
	return nt
}

func (nt *note) setLocal(addr netip.Addr) {
	nt.local = netip.AddrPortFrom(addr, nt.local.Port())
}

// noteDropped processes the kernel's count of dropped datagrams, which wraps
// around.
func (r *batchReader) noteDropped(count uint32) {
	r.conn.dropped.Add(int64(count - r.seen))
	r.seen = count
}

// message is C's struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
}

// inbox is the memory of one recvmmsg. The pointers into it are set once.
type inbox struct {
	msgs     [readMessages]message
	vectors  [readMessages]unix.Iovec
	controls [readMessages][maxControl]byte // aligned like the fields before
	names    [readMessages]unix.RawSockaddrInet6
	data     []byte // maxDatagram bytes per message
	used     int    // how many messages were received
}

var inboxes = sync.Pool{New: func() any {
	in := &inbox{data: make([]byte, readMessages*maxDatagram)}
	for i := range in.msgs {
		in.vectors[i].Base = &in.data[i*maxDatagram]
		in.vectors[i].SetLen(maxDatagram)
		h := &in.msgs[i].header
		h.Name = (*byte)(unsafe.Pointer(&in.names[i]))
		h.Iov = &in.vectors[i]
		h.SetIovlen(1)
		h.Control = &in.controls[i][0]
	}
	in.arm(readMessages)
	return in
}}

// arm prepares the first n messages for receiving.
func (in *inbox) arm(n int) {
	for i := range in.msgs[:n] {
		in.msgs[i].header.Namelen = unix.SizeofSockaddrInet6
		in.msgs[i].header.SetControllen(maxControl)
	}
}

// free returns the memory to the pool.
func (in *inbox) free() {
	in.arm(in.used)
	in.used = 0
	inboxes.Put(in)
}
