package datagram

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// joinSource joins group on m for what source sends. Both are of the same
// family. x/net does not support IPv4 sources on Windows.
func (c *Conn) joinSource(m memberships, group, source netip.Addr, ifi *net.Interface) error {
	if !group.Unmap().Is4() {
		return m.JoinSourceSpecificGroup(ifi, udpAddr(group), udpAddr(source))
	}
	const ipAddSourceMembership = 15 // IP_ADD_SOURCE_MEMBERSHIP
	request := struct{ group, source, address [4]byte }{group: group.Unmap().As4(), source: source.Unmap().As4()}
	if ifi != nil {
		address, err := address4(ifi)
		if err != nil {
			return err
		}
		request.address = address
	}
	var failed error
	err := c.raw.Control(func(fd uintptr) {
		failed = windows.Setsockopt(windows.Handle(fd), windows.IPPROTO_IP, ipAddSourceMembership,
			(*byte)(unsafe.Pointer(&request)), int32(unsafe.Sizeof(request)))
	})
	if err != nil {
		return err
	}
	return os.NewSyscallError("setsockopt IP_ADD_SOURCE_MEMBERSHIP", failed)
}

// address4 returns an IPv4 address of ifi, by which Windows identifies the
// interface.
func address4(ifi *net.Interface) (address [4]byte, err error) {
	all, err := ifi.Addrs()
	if err != nil {
		return address, err
	}
	for _, a := range all {
		if prefix, ok := a.(*net.IPNet); ok && prefix.IP.To4() != nil {
			return [4]byte(prefix.IP.To4()), nil
		}
	}
	return address, fmt.Errorf("interface %q has no IPv4 address", ifi.Name)
}
