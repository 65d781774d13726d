package datagram

// WritesNow reports whether WriteNow may send anything. A connected socket does
// not: its error may be about an earlier datagram, which Write finds out.
func (c *Conn) WritesNow() bool {
	_, waits := c.engine.(*oneByOne)
	return !waits && !c.connected && c.hostOnly == nil
}

// WriteNow sends as many of the first of ps as the kernel takes at once and
// returns how many. It never waits. The rest, and any error, is left to Write.
func (c *Conn) WriteNow(ps []Packet) (n int) {
	if !c.WritesNow() {
		return 0
	}
	for n < len(ps) && c.checkZone(&ps[n]) == nil {
		n++
	}
	if n == 0 {
		return 0
	}
	return c.engine.writeNow(ps[:n])
}
