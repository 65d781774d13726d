package datagram

// withoutGSO makes c send a message a datagram.
func withoutGSO(c *Conn) {
	if e, ok := c.engine.(*batched); ok {
		e.limit(0)
	}
}
