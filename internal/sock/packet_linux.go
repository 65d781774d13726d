package sock

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Packets returns the socket of a unixpacket connection, or nil if conn is not
// one. Like Of it takes no other type.
func Packets(conn net.Conn) *Socket {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return nil
	}
	if a := c.LocalAddr(); a == nil || a.Network() != "unixpacket" {
		return nil
	}
	rc, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	return &Socket{rc: rc}
}

// NextPacket returns the size of the next packet of a unixpacket socket, without
// reading it. It is 0 at the end of the input. If there is none, the error is
// EAGAIN.
func NextPacket(fd int) (int, error) {
	n, _, errno := syscall.Syscall6(unix.SYS_RECVFROM, uintptr(fd), 0, 0,
		unix.MSG_PEEK|unix.MSG_TRUNC|unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// packetOverhead is how much of a send buffer the kernel keeps from a packet
// (unix_dgram_sendmsg in Linux's net/unix/af_unix.c).
const packetOverhead = 32

// MaxPacket returns the size of the largest packet that a unixpacket socket can
// send, or 0 if that is not known.
func (s *Socket) MaxPacket() (size int) {
	// An error says that the socket is closed.
	_ = s.rc.Control(func(fd uintptr) {
		buffer, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
		if err == nil {
			size = buffer - packetOverhead
		}
	})
	return size
}
