//go:build !unix

package datagram

import "net"

// v6Only reports whether IPv4 does not go over an AF_INET6 socket, as far as its
// address tells.
func v6Only(*net.UDPConn) bool { return false }
