package datagram

import (
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// zones knows which zones of IPv6 addresses there are. What net and x/net do not
// know they take for no zone, and send elsewhere.
type zones struct {
	mu    sync.Mutex
	known map[string]time.Time // the names of interfaces, and when each was found
}

// maxZones bounds how many zones are remembered: who sends to more pays for it.
const maxZones = 64

// check returns the error of a packet whose zone is none. An address without one
// is quick to check.
func (z *zones) check(p *Packet) error {
	zone := p.Addr.Addr().Zone()
	if zone == "" {
		return nil
	}
	if _, err := strconv.ParseUint(zone, 10, 31); err == nil {
		return nil // an index, which the kernel knows or does not
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	now := time.Now()
	if found, ok := z.known[zone]; ok && now.Sub(found) < zonesValid {
		return nil
	}
	delete(z.known, zone)
	if _, err := net.InterfaceByName(zone); err != nil {
		return fmt.Errorf("zone %q: %w", zone, bare(err))
	}
	if z.known == nil || len(z.known) >= maxZones {
		z.known = make(map[string]time.Time)
	}
	z.known[zone] = now
	return nil
}
