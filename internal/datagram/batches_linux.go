package datagram

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// batched moves many messages per system call and, with GRO and GSO, many
// datagrams per message.
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
		// Whatever fails here is not used.
		unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
		e.gro = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 1) == nil
		_, err := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		e.limits.off = err != nil
	})
	if err == nil && !c.connected {
		e.neighbors.watch(c.raw)
	}
	c.engine = e
	return err
}

func (e *batched) close() { e.neighbors.table.close() }

// ownGroupsOnly turns off a peculiarity of Linux: by default, a socket bound to
// a wildcard address gets the datagrams of all groups that any socket on the
// host has joined.
func ownGroupsOnly(raw syscall.RawConn) {
	raw.Control(func(fd uintptr) {
		// AF_INET sockets and old kernels refuse the second.
		unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_MULTICAST_ALL, 0)
		unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_MULTICAST_ALL, 0)
	})
}
