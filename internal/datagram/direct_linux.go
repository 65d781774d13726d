package datagram

import (
	"encoding/binary"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cheapCall is what a system call costs at most where goroutines had better make
// their own than share one: sharing costs each a wake-up, and sendmmsg spends some
// 400 ns a message on what sendto does without. With calls of 300 ns an echo to a
// hundred peers is served a seventh faster directly; on a machine that was slower
// by more than twice it was that much slower. The line is drawn between them.
const cheapCall = 600 * time.Nanosecond

// callsAreCheap measures a system call on fd, several times for the least.
func callsAreCheap(fd int) bool {
	least := time.Duration(1<<63 - 1)
	for range 16 {
		began := time.Now()
		unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
		least = min(least, time.Since(began))
	}
	return least < cheapCall
}

// A direct is a sendto(2) of one datagram, which does not wait, in pooled memory.
type direct struct {
	try  func(fd uintptr)
	data []byte
	addr unix.RawSockaddrInet6 // or what is of AF_INET in its place
	size uintptr               // of it
	err  syscall.Errno
}

var directs = sync.Pool{New: func() any {
	d := new(direct)
	d.try = d.send
	return d
}}

// send does not tell Go's scheduler of a call that never waits.
func (d *direct) send(fd uintptr) {
	_, _, d.err = syscall.RawSyscall6(unix.SYS_SENDTO, fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(d.data))), uintptr(len(d.data)),
		unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&d.addr)), d.size)
}

// sendDirect sends p alone, if that takes neither a wait nor a control message: it
// reports whether it was sent or failed.
func (c *Conn) sendDirect(p *Packet) (done bool, err error) {
	if source, ifIndex := c.path(p); source.IsValid() || ifIndex != 0 {
		return false, nil
	}
	d := directs.Get().(*direct)
	defer directs.Put(d)
	if !d.address(c, p) {
		return false, nil
	}
	d.data = p.Data
	err = c.raw.Control(d.try)
	d.data = nil
	switch {
	case err != nil:
		return true, err
	case d.err == unix.EAGAIN, d.err == unix.EINTR:
		return false, nil
	case d.err != 0:
		return true, os.NewSyscallError("sendto", d.err)
	}
	return true, nil
}

// address takes p's destination in the form that the kernel wants. It reports false
// for those that it leaves to others.
func (d *direct) address(c *Conn, p *Packet) bool {
	to := p.Addr.Addr().Unmap()
	var port uint16 // in network byte order
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&port))[:], p.Addr.Port())
	switch {
	case c.connected:
		return false
	case to.Is4() && !c.v6:
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(&d.addr)) = unix.RawSockaddrInet4{
			Family: unix.AF_INET, Port: port, Addr: to.As4(),
		}
		d.size = unix.SizeofSockaddrInet4
	case c.v6 && to.Zone() == "" && (to.Is6() || c.dual):
		d.addr = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: to.As16()}
		d.size = unix.SizeofSockaddrInet6
	default:
		return false
	}
	return true
}
