package datagram

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// An icmpError is an ICMP message about a datagram.
type icmpError struct {
	name       string
	kind, code byte
}

// fatal4 and fatal6 are the ICMP errors that Linux tells a connected UDP socket.
var (
	fatal4 = []icmpError{
		{"no such protocol", 3, 2},
		{"nobody at the port", 3, 3},
		{"unknown network", 3, 6},
		{"unknown host", 3, 7},
		{"isolated host", 3, 8},
		{"forbidden network", 3, 9},
		{"forbidden host", 3, 10},
		{"filtered", 3, 13},
		{"bad parameter", 12, 0},
	}
	fatal6 = []icmpError{
		{"forbidden", 1, 1},
		{"nobody at the port", 1, 4},
		{"against the policy", 1, 5},
		{"rejected by the route", 1, 6},
		{"bad parameter", 4, 0},
	}
)

// tell sends, from the host itself, the message that a datagram of c to its peer
// was not delivered.
func (e icmpError) tell(t *testing.T, c *Conn, peer netip.AddrPort) {
	t.Helper()
	from := c.LocalAddr()
	udp := make([]byte, 8)
	binary.BigEndian.PutUint16(udp, from.Port())
	binary.BigEndian.PutUint16(udp[2:], peer.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	message := []byte{e.kind, e.code, 0, 0, 0, 0, 0, 0}
	var to unix.Sockaddr
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if from.Addr().Is4() {
		ip := make([]byte, 20)
		ip[0], ip[8], ip[9] = 4<<4|5, 64, unix.IPPROTO_UDP
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(udp)))
		copy(ip[12:], from.Addr().AsSlice())
		copy(ip[16:], peer.Addr().AsSlice())
		message = append(append(message, ip...), udp...)
		binary.BigEndian.PutUint16(message[2:], checksum(message))
		to = &unix.SockaddrInet4{Addr: from.Addr().As4()}
	} else { // whose checksum the kernel computes
		family, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
		ip := make([]byte, 40)
		ip[0], ip[6], ip[7] = 6<<4, unix.IPPROTO_UDP, 64
		binary.BigEndian.PutUint16(ip[4:], uint16(len(udp)))
		copy(ip[8:], from.Addr().AsSlice())
		copy(ip[24:], peer.Addr().AsSlice())
		message = append(append(message, ip...), udp...)
		to = &unix.SockaddrInet6{Addr: from.Addr().As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		t.Skipf("no raw sockets here: %v", err)
	}
	defer unix.Close(fd)
	require.NoError(t, unix.Sendto(fd, message, 0, to))
}

// checksum returns the Internet checksum of b, whose length is even.
func checksum(b []byte) uint16 {
	sum := 0
	for ; len(b) > 0; b = b[2:] {
		sum += int(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func TestNoICMPMessageEndsAConnOrLosesWhatIsSentNext(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg Config) {
		for i, f := range families {
			peer := listen(t, f.network, f.address, cfg)
			c := dial(t, f.network, peer.LocalAddr(), cfg)
			told := int64(0)
			for _, e := range [][]icmpError{fatal4, fatal6}[i] {
				t.Run(f.name+", "+e.name, func(t *testing.T) {
					e.tell(t, c, peer.LocalAddr())
					write(t, c, Packet{Data: []byte("ping")})
					told++
					require.Equal(t, told, c.Refused(), "told to a write")

					e.tell(t, c, peer.LocalAddr())
					write(t, peer, Packet{Addr: c.LocalAddr(), Data: []byte("pong")})
					require.Equal(t, "pong", string(receive(t, c, 1)[0].Data))
					told++
					require.Equal(t, told, c.Refused(), "told to a read")
				})
			}
		}
	})
}
