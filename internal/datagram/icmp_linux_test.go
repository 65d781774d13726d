package datagram

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/chanio/internal/test/netns"
)

// An icmpError is an ICMP message about a datagram.
type icmpError struct {
	name       string
	kind, code byte
	mtu        uint16 // the MTU of the link that a datagram was too big for; 0 for other errors
}

// fatal4 and fatal6 are the ICMP errors that Linux reports to a connected UDP
// socket.
var (
	fatal4 = []icmpError{
		{"no such protocol", 3, 2, 0},
		{"a closed port", 3, 3, 0},
		{"unknown network", 3, 6, 0},
		{"unknown host", 3, 7, 0},
		{"isolated host", 3, 8, 0},
		{"forbidden network", 3, 9, 0},
		{"forbidden host", 3, 10, 0},
		{"filtered", 3, 13, 0},
		{"bad parameter", 12, 0, 0},
	}
	fatal6 = []icmpError{
		{"forbidden", 1, 1, 0},
		{"a closed port", 1, 4, 0},
		{"against the policy", 1, 5, 0},
		{"rejected by the route", 1, 6, 0},
		{"bad parameter", 4, 0, 0},
	}
)

// tell sends, from the host itself, the message that a datagram from c to its
// peer was not delivered.
func (e icmpError) tell(t *testing.T, c *Conn, peer netip.AddrPort) {
	t.Helper()
	from := c.LocalAddr()
	udp := make([]byte, 8)
	binary.BigEndian.PutUint16(udp, from.Port())
	binary.BigEndian.PutUint16(udp[2:], peer.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	message := []byte{e.kind, e.code, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(message[6:], e.mtu) // the lower half of ICMPv6's field
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
	} else { // the kernel computes its checksum
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

func TestATooBigOfAnEarlierDatagramLosesNothingThatIsSentNext(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg Config) {
		for i, f := range families {
			t.Run(f.name, func(t *testing.T) {
				netns.Enter(t, "ip link set lo up") // the namespace's routes remember the MTU
				peer := listen(t, f.network, f.address, cfg)
				c := dial(t, f.network, peer.LocalAddr(), cfg)
				e := []icmpError{{"needs fragments", 3, 4, 1400}, {"too big", 2, 0, 1400}}[i]

				e.tell(t, c, peer.LocalAddr())
				write(t, c, Packet{Data: []byte("small")})
				require.Equal(t, "small", string(receive(t, peer, 1)[0].Data))
				require.EqualValues(t, 1, c.Refused())

				e.tell(t, c, peer.LocalAddr())
				write(t, c, Packet{Data: pattern(1, 100)}, Packet{Data: pattern(2, 100)}) // GSO makes one of them
				require.Len(t, receive(t, peer, 2), 2)
				require.EqualValues(t, 2, c.Refused())
				if b, ok := c.engine.(*batched); ok && !b.limits.off {
					require.Equal(t, maxSegmented, b.limits.of(netip.Addr{}), "it was not the segments")
				}

				n, err := c.Write([]Packet{{Data: make([]byte, MaxPayload6+1)}})
				require.ErrorIs(t, err, unix.EMSGSIZE)
				require.Zero(t, n)
				require.EqualValues(t, 2, c.Refused(), "that was its own")
			})
		}
	})
}

func TestRefusalsInTheMiddleOfAWriteAreCounted(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg Config) {
		for _, f := range families {
			t.Run(f.name, func(t *testing.T) {
				gone := listen(t, f.network, f.address, cfg)
				c := dial(t, f.network, gone.LocalAddr(), cfg)
				require.NoError(t, gone.Close())
				ps := make([]Packet, 10)
				for i := range ps {
					ps[i].Data = pattern(i, 10+i) // with equal sizes they would be one to GSO
				}
				write(t, c, ps...)
				require.EqualValues(t, len(ps)-1, c.Refused(), "all but the last one's, which no call has met")
			})
		}
	})
}

func TestADatagramThatFailsMidWriteIsNotARefusal(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg Config) {
		for _, f := range families {
			t.Run(f.name, func(t *testing.T) {
				peer := listen(t, f.network, f.address, cfg)
				c := dial(t, f.network, peer.LocalAddr(), cfg)
				n, err := c.Write([]Packet{{Data: pattern(1, 10)}, {Data: make([]byte, MaxPayload6+1)}, {Data: pattern(2, 20)}})
				require.ErrorIs(t, err, unix.EMSGSIZE)
				require.Equal(t, 1, n)
				require.Zero(t, c.Refused())
			})
		}
	})
}

// A scripted engine fails writes with its errors, one after another. A nil
// error sends one packet. Once none is left, it sends everything.
type scripted struct{ errs []error }

func (e *scripted) read() (*batch, error) { return nil, net.ErrClosed }

func (*scripted) close() {}

func (*scripted) writeNow([]Packet) int { return 0 }

func (e *scripted) write(ps []Packet) (int, error) {
	if len(e.errs) == 0 {
		return len(ps), nil
	}
	err := e.errs[0]
	e.errs = e.errs[1:]
	if err == nil {
		return 1, nil
	}
	return 0, err
}

func TestOnlyErrorsOfEarlierDatagramsAreTriedAgainAndCounted(t *testing.T) {
	many := func(n int, err error) (errs []error) { return slices.Repeat([]error{err}, n) }
	const refused, unreachable, large, other = unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.EMSGSIZE, unix.EPERM
	for _, test := range []struct {
		name      string
		connected bool
		errs      []error
		want      error
		counted   int64
	}{
		{"a refusal", true, []error{refused}, nil, 1},
		{"some, of several kinds", true, []error{refused, unreachable, large, refused}, nil, 4},
		{"as many as are tried", true, many(maxRefusals, unreachable), nil, maxRefusals},
		{"its own, that looks like one", true, many(maxRefusals+1, unreachable), unreachable, 0},
		{"a refusal, then its own", true, []error{refused, other}, other, 1},
		{"a refusal, then its own size", true, []error{refused, large, large}, large, 1},
		{"its own size", true, []error{large, large}, large, 0},
		{"its own, on a socket that is not connected", false, []error{unreachable}, unreachable, 0},
		{"its own size there", false, []error{large}, large, 0},
		{"a refusal there", false, []error{refused}, nil, 1},
		{"before the second datagram", true, []error{nil, refused, nil}, nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &Conn{connected: test.connected, engine: &scripted{test.errs}}
			n, err := c.Write(make([]Packet, 3))
			if test.want == nil {
				require.NoError(t, err)
				require.Equal(t, 3, n)
			} else {
				require.ErrorIs(t, err, test.want)
				require.Zero(t, n)
			}
			require.Equal(t, test.counted, c.Refused())
		})
	}
}
