package datagram

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// segmentLimits are how large a segment GSO is used for, where that is less than
// what a message holds: what a route refuses depends on its device and its MTU,
// so the limit is the destination's. The zero value is without limits.
type segmentLimits struct {
	off  bool        // there is no GSO
	some atomic.Bool // byAddr is not empty

	mu     sync.Mutex
	byAddr map[netip.Addr]int // 0 is no GSO
	since  time.Time          // when byAddr was empty
}

// maxLimits bounds how many limits are remembered. Past it, and after limitsValid,
// all are found out again: a refused message costs two more calls.
const (
	maxLimits   = 1024
	limitsValid = 10 * time.Minute // as Linux remembers a path's MTU: net.ipv4.route.mtu_expires
)

// safeSegment is a size of segments that pass wherever datagrams of an Ethernet
// frame's size do, over IPv4 and IPv6.
const safeSegment = 1500 - 40 - 8

// of returns how large a segment to that address may be.
func (l *segmentLimits) of(to netip.Addr) int {
	switch {
	case l.off:
		return 0
	case !l.some.Load():
		return maxSegmented
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.since) > limitsValid {
		l.forget()
	}
	if limit, ok := l.byAddr[to]; ok {
		return limit
	}
	return maxSegmented
}

// singly is of where GSO is not to be used.
func singly(netip.Addr) int { return 0 }

// refuse notes that err was the answer to segments of that size.
func (l *segmentLimits) refuse(to netip.Addr, segment int, err error) {
	limit := segment - 1
	switch {
	case errors.Is(err, syscall.EIO):
		limit = 0
	case segment > safeSegment:
		limit = safeSegment
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.byAddr) >= maxLimits {
		l.forget()
	}
	if old, ok := l.byAddr[to]; ok && old <= limit {
		return
	}
	if l.byAddr == nil {
		l.byAddr, l.since = make(map[netip.Addr]int), time.Now()
	}
	l.byAddr[to] = limit
	l.some.Store(true)
}

// forget removes all limits. The caller holds mu.
func (l *segmentLimits) forget() {
	l.byAddr = nil
	l.some.Store(false)
}

// refusesSegments reports that err can be a refusal of GSO: EIO where the
// device computes no checksums, the others where the route's MTU is smaller than
// a segment.
func refusesSegments(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EMSGSIZE)
}
