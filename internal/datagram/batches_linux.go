package datagram

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// batched moves many messages a system call, and where GRO and GSO are to be had
// many datagrams a message.
type batched struct {
	batchReader
	batchWriter
}

// useBatches makes c move batches, with GRO and GSO if the kernel has them.
func (c *Conn) useBatches() error {
	e := new(batched)
	e.batchReader.init(c)
	e.batchWriter.conn = c
	err := c.raw.Control(func(fd uintptr) {
		// What fails here is done without.
		unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
		e.gro = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 1) == nil
		_, err := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		e.limits.off = err != nil
	})
	c.engine = e
	return err
}

// ownGroupsOnly ends Linux's peculiarity that a socket bound to a wildcard
// address gets the datagrams of all groups that any socket of the host joined.
func ownGroupsOnly(raw syscall.RawConn) {
	raw.Control(func(fd uintptr) {
		// An AF_INET socket refuses the second, old kernels do too.
		unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_MULTICAST_ALL, 0)
		unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_MULTICAST_ALL, 0)
	})
}
