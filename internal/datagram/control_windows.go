package datagram

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/windows"
)

// x/net does not support control messages on Windows. There are two: a socket
// receives and accepts IP_PKTINFO with IPv4 datagrams and IPV6_PKTINFO with IPv6
// datagrams. A dual-stack socket has both.
const (
	infoSize4 = int(unsafe.Sizeof(windows.IN_PKTINFO{}))
	infoSize6 = int(unsafe.Sizeof(windows.IN6_PKTINFO{}))

	// A control message is a header, its data, and padding.
	headerSize = int(unsafe.Sizeof(windows.WSACMSGHDR{}))
	alignment  = int(unsafe.Sizeof(uintptr(0)))
)

func align(n int) int { return (n + alignment - 1) &^ (alignment - 1) }

// requestPacketInfo asks for each datagram's destination and interface. Where
// they are not available, a Packet's Local is what the socket is bound to.
func (c *Conn) requestPacketInfo() {
	c.raw.Control(func(fd uintptr) {
		if c.ip4 != nil {
			windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IP, windows.IP_PKTINFO, 1)
		}
		if c.ip6 != nil {
			windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IPV6, windows.IPV6_PKTINFO, 1)
		}
	})
}

// parseControl returns a datagram's destination and the interface on which it
// arrived.
func (c *Conn) parseControl(b []byte) (local netip.AddrPort, ifIndex int) {
	local = c.local
	for len(b) >= headerSize {
		length := size(b)
		level, kind := binary.NativeEndian.Uint32(b[alignment:]), binary.NativeEndian.Uint32(b[alignment+4:])
		if length < uint64(headerSize) || length > uint64(len(b)) {
			break
		}
		data := b[headerSize:length]
		b = b[min(align(int(length)), len(b)):]
		var addr netip.Addr
		switch {
		case level == windows.IPPROTO_IP && kind == windows.IP_PKTINFO && len(data) >= infoSize4:
			addr = netip.AddrFrom4([4]byte(data))
			ifIndex = int(binary.NativeEndian.Uint32(data[4:]))
		case level == windows.IPPROTO_IPV6 && kind == windows.IPV6_PKTINFO && len(data) >= infoSize6:
			addr = netip.AddrFrom16([16]byte(data)).Unmap()
			ifIndex = int(binary.NativeEndian.Uint32(data[16:]))
		}
		if addr.IsValid() {
			local = netip.AddrPortFrom(c.zoner.zoned(addr, ifIndex), local.Port())
		}
	}
	return local, ifIndex
}

// size reads a SIZE_T.
func size(b []byte) uint64 {
	if alignment == 4 {
		return uint64(binary.NativeEndian.Uint32(b))
	}
	return binary.NativeEndian.Uint64(b)
}

// control returns the control message that p needs, nil for none.
func (c *Conn) control(p *Packet) []byte {
	source, ifIndex := c.path(p)
	if ifIndex == 0 && !source.IsValid() {
		return nil
	}
	if p.Addr.Addr().Unmap().Is4() {
		b, data := controlMessage(windows.IPPROTO_IP, windows.IP_PKTINFO, infoSize4)
		if source.IsValid() {
			copy(data, source.AsSlice())
		}
		binary.NativeEndian.PutUint32(data[4:], uint32(ifIndex))
		return b
	}
	b, data := controlMessage(windows.IPPROTO_IPV6, windows.IPV6_PKTINFO, infoSize6)
	if source.IsValid() {
		copy(data, source.AsSlice())
	}
	binary.NativeEndian.PutUint32(data[16:], uint32(ifIndex))
	return b
}

// controlMessage returns a control message and the part of it that holds n bytes
// of data.
func controlMessage(level, kind int32, n int) (b, data []byte) {
	b = make([]byte, align(headerSize+n))
	*(*windows.WSACMSGHDR)(unsafe.Pointer(&b[0])) = windows.WSACMSGHDR{Len: uintptr(headerSize + n), Level: level, Type: kind}
	return b, b[headerSize:]
}
