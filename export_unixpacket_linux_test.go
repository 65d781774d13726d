package chanio

import "net"

// TakePacket reads a packet of conn into p as a session does, after between, which
// comes between the look at the packet and the read. It also returns what a session
// finds next.
func TakePacket(conn net.Conn, p []byte, between func()) (n int, err, next error) {
	t := newPackets(conn).(*packets)
	waitErr := t.rc.Read(func(fd uintptr) bool {
		if _, err = t.next(fd); err != nil {
			return true
		}
		between()
		n, err = t.take(fd, p)
		_, next = t.next(fd)
		return true
	})
	if err == nil {
		err = waitErr
	}
	return n, err, next
}
