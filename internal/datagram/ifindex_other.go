//go:build !linux

package datagram

import "net"

// interfaceIndex returns the interface's current index.
func (c *Conn) interfaceIndex(name string) (int, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	return ifi.Index, nil
}
