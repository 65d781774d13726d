package datagram

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// segmentLimits records up to which segment size GSO is used, where that is less
// than what a message holds. What a route refuses depends on its device and MTU,
// so limits are per destination. The zero value has no limits.
type segmentLimits struct {
	off  bool        // GSO is not available
	some atomic.Bool // byAddr is not empty

	mu     sync.Mutex
	byAddr map[netip.Addr]int // 0 means no GSO
	since  time.Time          // when byAddr was empty
}

// maxLimits bounds how many limits are remembered. Past it, and after
// limitsValid, all limits are discovered again: a refused message costs two more
// calls.
const (
	maxLimits   = 1024
	limitsValid = 10 * time.Minute // as long as Linux remembers a path's MTU: net.ipv4.route.mtu_expires
)

// safeSegment is a segment size that passes wherever datagrams of an Ethernet
// frame's size do, over IPv4 and IPv6.
const safeSegment = 1500 - 40 - 8

// of returns the largest segment that may be sent to that address.
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

// singly replaces of where GSO must not be used.
func singly(netip.Addr) int { return 0 }

// refuse records that segments of that size failed with err.
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

// refusesSegments reports whether err can be a refusal of GSO: EIO if the device
// computes no checksums, the others if the route's MTU is smaller than a
// segment.
func refusesSegments(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EMSGSIZE)
}
