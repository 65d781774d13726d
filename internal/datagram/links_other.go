//go:build !linux

package datagram

import (
	"net"
	"net/netip"
	"os"
)

// linkChanges returns nil: interfaces are polled.
func linkChanges() *os.File { return nil }

func changesLost(error) bool { return false }

// linkIndex returns the index of the interface with that name, or 0 if none is
// up.
func (c *Conn) linkIndex(name string) (index int, err error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil || ifi.Flags&net.FlagUp == 0 {
		return 0, nil
	}
	return ifi.Index, nil
}

// systemsInterface returns nil: the system chooses again when a group is left.
func (c *Conn) systemsInterface(netip.Addr) *net.Interface { return nil }
