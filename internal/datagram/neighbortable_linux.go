package datagram

import (
	"encoding/binary"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A neighborTable reads the kernel's table of neighbors of one network
// namespace: see rtnetlink(7). One goroutine at a time uses it.
type neighborTable struct {
	netlink *os.File
	raw     syscall.RawConn
	buf     []byte
	seq     uint32 // of the last request
}

// A neighborEntry is an entry of the table.
type neighborEntry struct {
	neighbor
	state uint16        // NUD_REACHABLE and so on
	age   time.Duration // how long it has been in that state
}

// openNeighborTable returns the table of the caller's network namespace, or nil
// if it is not available.
func openNeighborTable() *neighborTable {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil
	}
	t := &neighborTable{netlink: os.NewFile(uintptr(fd), "rtnetlink")}
	if t.raw, err = t.netlink.SyscallConn(); err != nil {
		t.netlink.Close()
		return nil
	}
	return t
}

func (t *neighborTable) close() {
	if t != nil {
		t.netlink.Close()
	}
}

// read calls f for each entry, as far as there is memory.
func (t *neighborTable) read(f func(neighborEntry)) {
	if t.buf == nil {
		t.buf = make([]byte, 1<<15) // as much as the kernel returns at a time
	}
	t.raw.Control(func(fd uintptr) {
		t.seq++
		// The kernel answers before it returns, so there is nothing to wait for.
		if unix.Sendto(int(fd), neighborRequest(t.seq), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
			return
		}
		for {
			n, _, err := unix.Recvfrom(int(fd), t.buf, 0)
			if err == unix.EINTR {
				continue
			}
			if err != nil || !eachNeighbor(t.buf[:n], t.seq, f) {
				return
			}
		}
	})
}

// neighborRequest returns a message that asks for the tables of all families.
func neighborRequest(seq uint32) []byte {
	b := make([]byte, unix.SizeofNlMsghdr+unix.SizeofNdMsg)
	h := (*unix.NlMsghdr)(unsafe.Pointer(unsafe.SliceData(b)))
	h.Len, h.Type, h.Flags = uint32(len(b)), unix.RTM_GETNEIGH, unix.NLM_F_REQUEST|unix.NLM_F_DUMP
	h.Seq = seq
	return b
}

// eachNeighbor calls f for each entry in b, part of the answer to the request
// seq, and reports whether there is more to come.
func eachNeighbor(b []byte, seq uint32, f func(neighborEntry)) bool {
	msgs, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return false
	}
	for _, m := range msgs {
		switch {
		case m.Header.Seq != seq: // the rest of an answer whose reading failed
		case m.Header.Type == unix.NLMSG_DONE || m.Header.Type == unix.NLMSG_ERROR:
			return false
		case m.Header.Type == unix.RTM_NEWNEIGH && len(m.Data) >= unix.SizeofNdMsg:
			if e, ok := parseNeighbor(m.Data); ok {
				f(e)
			}
		}
	}
	return true
}

// userHz is the unit of the kernel's times: USER_HZ, which is 100 everywhere.
const userHz = 100

// parseNeighbor parses the body of a message.
func parseNeighbor(b []byte) (e neighborEntry, ok bool) {
	h := (*unix.NdMsg)(unsafe.Pointer(unsafe.SliceData(b)))
	e.state = h.State
	for b = b[unix.SizeofNdMsg:]; len(b) >= unix.SizeofRtAttr; {
		a := (*unix.RtAttr)(unsafe.Pointer(unsafe.SliceData(b)))
		if int(a.Len) < unix.SizeofRtAttr || int(a.Len) > len(b) {
			break
		}
		data := b[unix.SizeofRtAttr:a.Len]
		switch {
		case a.Type == unix.NDA_DST:
			e.addr, ok = netip.AddrFromSlice(data)
		case a.Type == unix.NDA_CACHEINFO && len(data) >= 12: // struct nda_cacheinfo: confirmed, used, updated, refcnt
			e.age = time.Duration(binary.NativeEndian.Uint32(data[8:])) * time.Second / userHz
		}
		b = b[min(len(b), (int(a.Len)+unix.RTA_ALIGNTO-1)&^(unix.RTA_ALIGNTO-1)):]
	}
	if e.addr.Is6() && e.addr.IsLinkLocalUnicast() {
		e.ifIndex = int(h.Ifindex)
	}
	return e, ok
}
