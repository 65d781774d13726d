//go:build !unix

package datagram

import "net"

// v6Only would report whether an AF_INET6 socket carries no IPv4; here that is
// unknown.
func v6Only(*net.UDPConn) bool { return false }
