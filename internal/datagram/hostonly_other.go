//go:build !linux

package datagram

// hostOnly is needed on Linux for a TTL of 0. Elsewhere the TTL suffices.
type hostOnly struct{ none bool }

func newHostOnly(*Conn, Multicast) (*hostOnly, error) { return nil, nil }
func (*hostOnly) pin(*Packet) error                   { return nil }
func (*hostOnly) forget(*Packet) bool                 { return false }
func (*hostOnly) close()                              {}
