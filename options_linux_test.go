package chanio_test

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/chanio"
	"example.com/chanio/internal/test/netns"
)

// socketOption returns what the kernel reports for a socket's option.
func socketOption(t *testing.T, c syscall.RawConn, level, option int) (value int) {
	t.Helper()
	var err error
	require.NoError(t, c.Control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), level, option) }))
	require.NoError(t, err)
	return value
}

// A kernelOption is an option of a session's socket, and how the kernel reports
// it.
type kernelOption struct {
	name          string
	o             chanio.Options
	level, option int
	want          int // with o
	without       int // with no option; 0: the system's choice, which is another
	tcp           bool
}

var kernelOptions = []kernelOption{
	{"Nagle", chanio.Options{Nagle: true}, unix.IPPROTO_TCP, unix.TCP_NODELAY, 0, 1, true},
	{"KeepAlive off", chanio.Options{KeepAlive: &net.KeepAliveConfig{}}, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0, 1, true},
	{"KeepAlive Idle", chanio.Options{KeepAlive: probes}, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 70, 15, true},
	{"KeepAlive Interval", chanio.Options{KeepAlive: probes}, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 7, 15, true},
	{"KeepAlive Count", chanio.Options{KeepAlive: probes}, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3, 9, true},
	{"ReadBuffer", chanio.Options{ReadBuffer: 20000}, unix.SOL_SOCKET, unix.SO_RCVBUF, 40000, 0, false}, // Linux doubles it
	{"WriteBuffer", chanio.Options{WriteBuffer: 20000}, unix.SOL_SOCKET, unix.SO_SNDBUF, 40000, 0, false},
}

var probes = &net.KeepAliveConfig{Enable: true, Idle: 70 * time.Second, Interval: 7 * time.Second, Count: 3}

// kernelSessions are the ways to get a session with a socket of its own.
var kernelSessions = []struct {
	name string
	make func(t *testing.T, o *chanio.Options) *chanio.Session
}{
	{"accepted/tcp", func(t *testing.T, o *chanio.Options) *chanio.Session { return acceptedOf(t, listenTCP(t, o)) }},
	{"accepted/unix", func(t *testing.T, o *chanio.Options) *chanio.Session {
		return acceptedOf(t, listenOn(t, t.Context(), "unix", unixPath(t), o))
	}},
	{"accepted/tcp, Serve", func(t *testing.T, o *chanio.Options) *chanio.Session {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		l := chanio.Serve(t.Context(), ln, o)
		t.Cleanup(func() { l.Close() })
		return acceptedOf(t, l)
	}},
	{"accepted/tcp, PROXY", func(t *testing.T, o *chanio.Options) *chanio.Session {
		proxied := *o
		proxied.ProxyProtocol = true
		l := listenTCP(t, &proxied)
		_, err := connectTo(t, l).Write([]byte(proxyHeader1))
		require.NoError(t, err)
		s, _ := await(t, l.Sessions(), "the session")
		return s
	}},
	{"dialed/tcp", func(t *testing.T, o *chanio.Options) *chanio.Session { return dialedTo(t, listenTCP(t, nil), o) }},
	{"dialed/unix", func(t *testing.T, o *chanio.Options) *chanio.Session {
		return dialedTo(t, listenOn(t, t.Context(), "unix", unixPath(t), nil), o)
	}},
	{"accepted/unixpacket", func(t *testing.T, o *chanio.Options) *chanio.Session {
		return acceptedOf(t, listenOn(t, t.Context(), "unixpacket", unixPath(t), o))
	}},
	{"dialed/unixpacket", func(t *testing.T, o *chanio.Options) *chanio.Session {
		return dialedTo(t, listenOn(t, t.Context(), "unixpacket", unixPath(t), nil), o)
	}},
	{"dialed/udp", func(t *testing.T, o *chanio.Options) *chanio.Session {
		return dialedTo(t, listenOn(t, t.Context(), "udp", "127.0.0.1:0", nil), o)
	}},
	{"given/tcp", func(t *testing.T, o *chanio.Options) *chanio.Session {
		a, b := socketPair(t, "tcp")
		t.Cleanup(func() { b.Close() })
		return chanio.NewSession(t.Context(), a, o)
	}},
}

func acceptedOf(t *testing.T, l *chanio.Listener) *chanio.Session {
	t.Helper()
	connectTo(t, l)
	s, _ := await(t, l.Sessions(), "the session")
	return s
}

func dialedTo(t *testing.T, l *chanio.Listener, o *chanio.Options) *chanio.Session {
	t.Helper()
	s, err := chanio.Dial(t.Context(), l.Addr().Network(), l.Addr().String(), o)
	require.NoError(t, err)
	return s
}

func TestEachOptionOfASessionsSocketIsWhatTheKernelSays(t *testing.T) {
	for _, option := range kernelOptions {
		for _, way := range kernelSessions {
			if option.tcp && !strings.Contains(way.name, "tcp") {
				continue
			}
			t.Run(option.name+"/"+way.name, func(t *testing.T) {
				value := func(o chanio.Options) int {
					s := way.make(t, &o)
					defer s.Abort(nil)
					c, err := s.SyscallConn()
					require.NoError(t, err)
					return socketOption(t, c, option.level, option.option)
				}
				require.Equal(t, option.want, value(option.o))
				without := value(chanio.Options{})
				require.NotEqual(t, option.want, without, "without the option")
				if option.without != 0 {
					require.Equal(t, option.without, without)
				}
			})
		}
	}
}

// Options.Control sees the options that are set before a socket is bound, once
// the library has set them.
func TestEachOptionOfABoundSocketIsWhatTheKernelSays(t *testing.T) {
	binds := map[string]func(o *chanio.Options){
		"tcp": func(o *chanio.Options) { listenTCP(t, o) },
		"udp": func(o *chanio.Options) { listenOn(t, t.Context(), "udp", "127.0.0.1:0", o) },
		"packets": func(o *chanio.Options) {
			p, err := chanio.ListenPacket(t.Context(), "udp", "127.0.0.1:0", o)
			require.NoError(t, err)
			require.NoError(t, p.Close())
		},
	}
	for name, bind := range binds {
		for _, test := range []struct {
			name    string
			o       chanio.Options
			option  int
			without int
		}{
			{"ReuseAddr", chanio.Options{ReuseAddr: true}, unix.SO_REUSEADDR, 0},
			{"ReusePort", chanio.Options{ReusePort: true}, unix.SO_REUSEPORT, 0},
		} {
			t.Run(test.name+"/"+name, func(t *testing.T) {
				value := func(o chanio.Options) (v int) {
					v = -1
					o.Control = func(_, _ string, c syscall.RawConn) error {
						v = socketOption(t, c, unix.SOL_SOCKET, test.option)
						return nil
					}
					bind(&o)
					return v
				}
				require.Equal(t, 1, value(test.o))
				if name == "tcp" && test.name == "ReuseAddr" {
					return // Go sets it on its own
				}
				require.Equal(t, test.without, value(chanio.Options{}))
			})
		}
	}
}

// datagramSockets are the ways to get a socket that many peers share. A socket
// that the library makes is handed out by Options.Control, and is good for as
// long as it is open.
var datagramSockets = []struct {
	name string
	open func(t *testing.T, address string, o *chanio.Options) syscall.RawConn
}{
	{"Listen", bound(func(t *testing.T, address string, o *chanio.Options) {
		listenOn(t, t.Context(), "udp4", address, o)
	})},
	{"ListenPacket", bound(func(t *testing.T, address string, o *chanio.Options) { packetConn(t, "udp4", address, o, false) })},
	{"ServePeers", given(func(t *testing.T, udp *net.UDPConn, o *chanio.Options) {
		l := chanio.ServePeers(t.Context(), udp, o)
		require.NoError(t, l.Err())
		t.Cleanup(func() { l.Close() })
	})},
	{"NewPacketConn", given(func(t *testing.T, udp *net.UDPConn, o *chanio.Options) {
		p := chanio.NewPacketConn(t.Context(), udp, o)
		require.NoError(t, p.Err())
		t.Cleanup(func() { p.Close() })
	})},
}

// bound returns the socket that open makes.
func bound(open func(*testing.T, string, *chanio.Options)) func(*testing.T, string, *chanio.Options) syscall.RawConn {
	return func(t *testing.T, address string, o *chanio.Options) (socket syscall.RawConn) {
		with := *o
		with.Control = func(_, _ string, c syscall.RawConn) error {
			socket = c
			return nil
		}
		open(t, address, &with)
		return socket
	}
}

// given hands a socket to open, and returns it.
func given(open func(*testing.T, *net.UDPConn, *chanio.Options)) func(*testing.T, string, *chanio.Options) syscall.RawConn {
	return func(t *testing.T, address string, o *chanio.Options) syscall.RawConn {
		udp, err := net.ListenPacket("udp4", address)
		require.NoError(t, err)
		socket, err := udp.(*net.UDPConn).SyscallConn()
		require.NoError(t, err)
		open(t, udp.(*net.UDPConn), o)
		return socket
	}
}

func TestTheBuffersOfASocketThatPeersShareAreWhatTheKernelSays(t *testing.T) {
	for _, way := range datagramSockets {
		for _, test := range []struct {
			name   string
			o      chanio.Options
			option int
		}{
			{"ReadBuffer", chanio.Options{ReadBuffer: 20000}, unix.SO_RCVBUF},
			{"WriteBuffer", chanio.Options{WriteBuffer: 20000}, unix.SO_SNDBUF},
		} {
			t.Run(test.name+"/"+way.name, func(t *testing.T) {
				value := func(o chanio.Options) int {
					return socketOption(t, way.open(t, "127.0.0.1:0", &o), unix.SOL_SOCKET, test.option)
				}
				require.Equal(t, 40000, value(test.o)) // Linux doubles it
				require.NotEqual(t, 40000, value(chanio.Options{}))
			})
		}
	}
}

// The kernel does not report the interface for IPv4 groups (getsockopt of
// IP_MULTICAST_IF yields an address, which is zero where an index was set). It
// shows in the address that the socket gets when it is connected to a group.
func TestTheInterfaceForIPv4GroupsIsWhereTheKernelSendsThem(t *testing.T) {
	group := &unix.SockaddrInet4{Addr: [4]byte{239, 255, 7, 1}, Port: 7007}
	for _, way := range datagramSockets {
		t.Run(way.name, func(t *testing.T) {
			netns.Enter(t, `
				ip link set lo up
				ip link add v0 type veth peer name v1; ip addr add 10.7.1.1/24 dev v0; ip link set v0 up; ip link set v1 up
				ip link add w0 type veth peer name w1; ip addr add 10.7.2.1/24 dev w0; ip link set w0 up; ip link set w1 up
				ip route add 224.0.0.0/4 dev v0`)
			source := func(m chanio.Multicast) (address [4]byte) {
				socket := way.open(t, "0.0.0.0:0", &chanio.Options{Multicast: m})
				require.NoError(t, socket.Control(func(fd uintptr) {
					require.NoError(t, unix.Connect(int(fd), group))
					name, err := unix.Getsockname(int(fd))
					require.NoError(t, err)
					address = name.(*unix.SockaddrInet4).Addr
				}))
				return address
			}
			require.Equal(t, [4]byte{10, 7, 1, 1}, source(chanio.Multicast{}), "the route's")
			require.Equal(t, [4]byte{10, 7, 2, 1}, source(chanio.Multicast{Interface: interfaceNamed(t, "w0")}))
		})
	}
}

func TestMulticastOptionsAreWhatTheKernelSays(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	require.NoError(t, err)
	for _, test := range []struct {
		name         string
		m            chanio.Multicast
		option       int
		want         int
		option6      int
		want6        int
		def4, def6   int
		isInterface4 bool
	}{
		{"TTL", chanio.Multicast{TTL: 7}, unix.IP_MULTICAST_TTL, 7, unix.IPV6_MULTICAST_HOPS, 7, 1, 1, false},
		{"TTL, none", chanio.Multicast{TTL: -1}, unix.IP_MULTICAST_TTL, 0, unix.IPV6_MULTICAST_HOPS, 0, 1, 1, false},
		{"NoLoopback", chanio.Multicast{NoLoopback: true}, unix.IP_MULTICAST_LOOP, 0, unix.IPV6_MULTICAST_LOOP, 0, 1, 1, false},
		{"Interface", chanio.Multicast{Interface: lo}, 0, 0, unix.IPV6_MULTICAST_IF, lo.Index, 0, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			value := func(network, address string, m chanio.Multicast, level, option int) int {
				s, err := chanio.Dial(t.Context(), network, address, &chanio.Options{Multicast: m})
				require.NoError(t, err)
				defer s.Abort(nil)
				c, err := s.SyscallConn()
				require.NoError(t, err)
				return socketOption(t, c, level, option)
			}
			if !test.isInterface4 { // see TestTheInterfaceForIPv4GroupsIsWhereTheKernelSendsThem
				require.Equal(t, test.want, value("udp4", "127.0.0.1:9", test.m, unix.IPPROTO_IP, test.option))
				require.Equal(t, test.def4, value("udp4", "127.0.0.1:9", chanio.Multicast{}, unix.IPPROTO_IP, test.option))
			}
			require.Equal(t, test.want6, value("udp6", "[::1]:9", test.m, unix.IPPROTO_IPV6, test.option6))
			require.Equal(t, test.def6, value("udp6", "[::1]:9", chanio.Multicast{}, unix.IPPROTO_IPV6, test.option6))
		})
	}
}
