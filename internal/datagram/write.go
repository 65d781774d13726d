package datagram

import "net/netip"

// Write sends datagrams, in order, and returns how many the kernel has taken. If
// that is fewer than all, the error says why the next one was not taken; another
// call may still send the rest. Write waits for room in the kernel for at most
// the Conn's write timeout; then the error is os.ErrDeadlineExceeded.
//
// Consecutive datagrams of equal size to one peer go out as one where the system
// supports that. Any number of goroutines may write.
func (c *Conn) Write(ps []Packet) (n int, err error) {
	if c.connected { // it sends to its own peer only
		return c.writeZoned(ps)
	}
	for i := range ps {
		err := c.checkZone(&ps[i])
		if err == nil {
			continue
		}
		if n, earlier := c.writeZoned(ps[:i]); earlier != nil {
			return n, earlier
		}
		return i, err
	}
	return c.writeZoned(ps)
}

// writeZoned is Write for packets whose zones are known.
func (c *Conn) writeZoned(ps []Packet) (n int, err error) {
	if c.hostOnly == nil {
		return c.write(ps)
	}
	for i, p := range ps {
		group := p.Addr.Addr().Unmap().IsMulticast()
		if group && c.hostOnly.none {
			continue
		}
		send := c.write
		if group {
			send = c.writePinned
		}
		if _, err := send([]Packet{p}); err != nil {
			return i, err
		}
	}
	return len(ps), nil
}

// writePinned sends a datagram to a group that must stay on the host. If that
// fails it tries once more, since the interface may have gone and come back.
func (c *Conn) writePinned(ps []Packet) (n int, err error) {
	pinned := ps[0]
	if err := c.hostOnly.pin(&pinned); err != nil {
		return 0, err
	}
	n, err = c.write([]Packet{pinned})
	if err == nil || !c.hostOnly.forget(&pinned) {
		return n, err
	}
	pinned = ps[0]
	if err := c.hostOnly.pin(&pinned); err != nil {
		return 0, err
	}
	return c.write([]Packet{pinned})
}

// write is Write without regard to hostOnly.
func (c *Conn) write(ps []Packet) (n int, err error) {
	var f failures
	for n < len(ps) {
		sent, err := c.engine.write(ps[n:])
		n += sent
		if sent > 0 { // so the earlier failures were not about this datagram
			c.refused.Add(f.refusals + f.tooBig)
			f = failures{}
		}
		switch {
		case err == nil:
		case f.ofAnother(c, err):
		case refusesSource(err) && ps[n].Local.IsValid():
			// A broadcast address, for example, looks like any other.
			p := ps[n]
			p.Local = netip.AddrPort{}
			if _, err := c.write([]Packet{p}); err != nil {
				return n, err
			}
			n++
		default:
			if !refusal(err, c.connected) {
				c.refused.Add(f.refusals)
			}
			return n, bare(err)
		}
	}
	return n, nil
}

// failures counts how often sending one datagram has failed with an error that
// may have been about an earlier one.
type failures struct{ refusals, tooBig int64 }

// maxRefusals bounds how often sending one datagram is retried because of
// refusals of earlier ones.
const maxRefusals = 8

// ofAnother reports whether err, of a write, may be about an earlier datagram.
// If so, the error is consumed now and the datagram must be tried again.
func (f *failures) ofAnother(c *Conn, err error) bool {
	switch {
	case refusal(err, c.connected) && f.refusals < maxRefusals:
		f.refusals++
		return true
	case c.connected && tooBig(err) && f.tooBig == 0:
		f.tooBig++
		return true
	}
	return false
}
