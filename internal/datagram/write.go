package datagram

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

func (c *Conn) write(ps []Packet) (n int, err error) {
	for tries := 0; n < len(ps); {
		var sent int
		sent, err = c.engine.write(ps[n:])
		n += sent
		switch {
		case err == nil:
			continue
		case sent > 0:
			tries = 0
		}
		// A refusal of what was sent before takes the place of the call's own
		// result, and is gone with that.
		if tries++; !refusal(err) || tries > maxRefusals {
			return n, bare(err)
		}
		c.refused.Add(1)
	}
	return n, nil
}

// maxRefusals bounds how many refusals of earlier datagrams the sending of one
// datagram is tried again for.
const maxRefusals = 8
