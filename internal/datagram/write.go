package datagram

import "net/netip"

// Write sends datagrams, in order, and returns how many the kernel has taken.
// If that is less than all, the error says why the next one was not: the rest
// may still be sent by another call. It waits for room in the kernel for at
// most the Conn's write timeout; then the error is os.ErrDeadlineExceeded.
//
// Consecutive datagrams of equal size to one peer go out as one where the
// system can do that. Any number of goroutines may write.
func (c *Conn) Write(ps []Packet) (n int, err error) {
	if c.hostOnly == nil {
		return c.write(ps)
	}
	for i, p := range ps {
		if p.Addr.Addr().Unmap().IsMulticast() {
			if c.hostOnly.none {
				continue
			}
			if err := c.hostOnly.pin(&p); err != nil {
				return i, err
			}
		}
		if _, err := c.write([]Packet{p}); err != nil {
			return i, err
		}
	}
	return len(ps), nil
}

// write is Write without care for hostOnly.
func (c *Conn) write(ps []Packet) (n int, err error) {
	for tries := 0; n < len(ps); {
		sent, err := c.engine.write(ps[n:])
		n += sent
		if sent > 0 { // so what failed before was not about it
			c.refused.Add(int64(tries))
			tries = 0
		}
		switch {
		case err == nil:
		case refusal(err, c.connected) && tries < maxRefusals:
			// It was about what was sent before, and is gone now.
			tries++
		case refusesSource(err) && ps[n].Local.IsValid():
			// A broadcast address, for one, looks like any other.
			p := ps[n]
			p.Local = netip.AddrPort{}
			if _, err := c.write([]Packet{p}); err != nil {
				return n, err
			}
			n++
		default:
			return n, bare(err)
		}
	}
	return n, nil
}

// maxRefusals bounds how many refusals of earlier datagrams the sending of one
// datagram is tried again for.
const maxRefusals = 8
