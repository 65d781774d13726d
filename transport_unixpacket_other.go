//go:build !linux

package chanio

import "net"

// packets is a unixpacket connection, which is for Linux only.
type packets struct{ stream }

// newPackets returns nil: a read cannot tell here how large the next packet is.
func newPackets(net.Conn) transport { return nil }
