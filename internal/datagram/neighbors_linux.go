package datagram

import (
	"fmt"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What is sent to a host of an own link waits until ARP, or IPv6's neighbor
// discovery, has found the host's link address. If there is no such host, the
// kernel gives up after 3 s, and begins again with the next datagram. What waits
// is charged to the socket's send buffer. By default one host may hold as much as
// a whole buffer (unres_qlen_bytes in arp(7)), so two that are unplugged stop the
// sending to all others.
//
// silentNeighbors bounds what waits for such hosts to an eighth of the buffer, and
// a few datagrams for each. Once that much of it is in use, it reads the kernel's table of
// neighbors, and datagrams to those that do not answer fail.
type silentNeighbors struct {
	raw   syscall.RawConn
	table *neighborTable // nil if there is none, or it does not matter

	credit atomic.Int64 // how many bytes may be sent until the buffer is looked at
	most   atomic.Int64 // of the buffer, how much may be in use without anyone being to blame
	sought atomic.Pointer[soughtNeighbors]

	mu       sync.Mutex
	last     *soughtNeighbors // what was read last
	notUntil time.Time        // when the table may be read
}

// soughtNeighbors are those whose link addresses the kernel was looking for when
// the table was read. The value says that one is silent: it has had
// neighborPatience, or was silent before.
type soughtNeighbors struct {
	read time.Time
	all  map[neighbor]bool
}

// A neighbor is a host of an own link.
type neighbor struct {
	addr    netip.Addr // without a zone
	ifIndex int        // of a link-local address; else 0
}

const (
	// neighborPatience is how long a neighbor may take to answer before datagrams
	// to it fail: far longer than a LAN takes, and short for those that wait.
	neighborPatience = 100 * time.Millisecond
	// heldShare is the part of the send buffer that may be in use without anyone
	// being to blame. It leaves room for what several goroutines send at once, and
	// half of the buffer, below which the kernel wakes those that wait for room.
	heldShare = 8
	// carefulShare is the part that is sent at once while a neighbor is sought:
	// others that have vanished with it may not have been sent anything yet.
	carefulShare = 64
	// soughtValid is how long what was read is trusted.
	soughtValid = 20 * time.Millisecond
	// tablePause, for each entry and tableEntries more, is how long the table is
	// not read again after it had no neighbor to blame, as on a link that is slower
	// than the senders. Reading takes a twentieth of that.
	tablePause   = 20 * time.Microsecond
	tableEntries = 20
)

// errSilent is the error of a datagram to a silent neighbor. The kernel's, for
// what it gives up, is the same.
var errSilent = fmt.Errorf("the neighbor does not answer: %w", unix.EHOSTUNREACH)

// watch begins. It must be called in the socket's network namespace.
func (n *silentNeighbors) watch(raw syscall.RawConn) {
	n.raw, n.table = raw, openNeighborTable()
}

// admit returns those of the first of ps that may be sent now. It waits for the
// result if the neighbor of the first one is sought; if that is silent, the error
// says so.
func (n *silentNeighbors) admit(c *Conn, ps []Packet) ([]Packet, error) {
	n.check()
	if n.sought.Load() == nil {
		return ps, nil
	}
	count, err := n.reached(c, ps)
	return ps[:count], err
}

// room returns how many bytes more than one datagram one message may have. While
// no neighbor is sought, each sender may put as much in the buffer before anyone
// looks, so it is no more than what may be in use.
func (n *silentNeighbors) room() int {
	switch {
	case n.table == nil:
		return math.MaxInt
	case n.sought.Load() == nil:
		return int(n.most.Load())
	}
	return int(max(0, n.credit.Load()))
}

// take takes bytes off the credit, and reports whether there was any.
func (n *silentNeighbors) take(bytes int) bool {
	return n.table == nil || n.credit.Add(-int64(bytes))+int64(bytes) > 0
}

// check looks if it is time to.
func (n *silentNeighbors) check() {
	if n.table == nil || n.credit.Load() > 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.credit.Load() <= 0 { // else another has looked
		n.look()
	}
}

// look checks how much of the send buffer is in use and, if that is too much, which
// neighbors are to blame. The caller holds mu.
func (n *silentNeighbors) look() {
	used, size := n.buffer()
	most := size / heldShare
	n.most.Store(int64(most))
	free := most - used
	switch {
	case free > 0:
		n.sought.Store(nil)
	case !time.Now().Before(n.notUntil):
		n.readTable()
	}
	least := most
	if free > 0 || n.sought.Load() != nil {
		least = size / carefulShare
	}
	n.credit.Store(int64(max(free, least)))
}

// buffer returns how much of the send buffer is in use, and its size.
func (n *silentNeighbors) buffer() (used, size int) {
	n.raw.Control(func(fd uintptr) {
		used, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		size, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
	})
	return used, size
}

// readTable determines the neighbors that are sought now. While there are any,
// those that were silent before and have been given up wait for their turn to be
// sought again. The caller holds mu.
func (n *silentNeighbors) readTable() {
	now := time.Now()
	sought, entries := false, 0
	next := &soughtNeighbors{read: now, all: make(map[neighbor]bool)}
	n.table.read(func(e neighborEntry) {
		entries++
		sought = next.note(e, n.last) || sought
	})
	n.last = next
	if !sought {
		next = nil
		n.notUntil = now.Add(time.Duration(tableEntries+entries) * tablePause)
	}
	n.sought.Store(next)
}

// note notes an entry of the table, and reports whether that neighbor is sought
// now. last is what was read before, or nil.
func (s *soughtNeighbors) note(e neighborEntry, last *soughtNeighbors) (sought bool) {
	silent, _ := last.find(e.neighbor)
	switch e.state {
	case unix.NUD_INCOMPLETE:
		s.all[e.neighbor] = silent || e.age >= neighborPatience
		return true
	case unix.NUD_FAILED:
		if silent {
			s.all[e.neighbor] = true
		}
	}
	return false
}

// reached returns how many of the first of ps may be sent: those to neighbors
// that are not sought, and to others than neighbors. If the first one's is
// sought, reached waits for the result; if it is silent, the error says so.
func (n *silentNeighbors) reached(c *Conn, ps []Packet) (count int, err error) {
	first := neighborOf(c, &ps[0])
	until := time.Now().Add(neighborPatience)
	for pause := time.Millisecond; ; pause *= 2 {
		silent, sought := n.fresh().find(first)
		if !sought {
			break
		}
		if silent || time.Now().After(until) {
			return 0, errSilent
		}
		<-time.After(pause)
	}
	set := n.sought.Load()
	for count = 1; count < len(ps); count++ {
		if _, sought := set.find(neighborOf(c, &ps[count])); sought {
			break
		}
	}
	return count, nil
}

// fresh returns the neighbors that are sought, looking again if that was long ago.
func (n *silentNeighbors) fresh() *soughtNeighbors {
	s := n.sought.Load()
	if s == nil || time.Since(s.read) < soughtValid {
		return s
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sought.Load() == s {
		n.look()
	}
	return n.sought.Load()
}

// find reports whether a neighbor is sought, and whether it is silent.
func (s *soughtNeighbors) find(to neighbor) (silent, sought bool) {
	if s == nil {
		return false, false
	}
	silent, sought = s.all[to]
	return silent, sought
}

// neighborOf returns the neighbor to which p goes, if it goes to one.
func neighborOf(c *Conn, p *Packet) (to neighbor) {
	to.addr = p.Addr.Addr().Unmap()
	if linkLocal(to.addr) {
		to.ifIndex = c.scope(p)
	}
	to.addr = to.addr.WithZone("")
	return to
}
