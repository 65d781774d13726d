package sock

import "golang.org/x/sys/unix"

// Progress returns how far the peer has come: SIOCOUTQ reports what it has not
// taken (tcp(7), unix(7)), TCP_INFO what it has acknowledged in all. What is
// left also changes by what is written meanwhile, or does not change because of it.
func (s *Socket) Progress() (p Progress) {
	s.rc.Control(func(fd uintptr) {
		left, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		if err != nil {
			return
		}
		p = Progress{Known: true, Acked: ^uint64(left), Left: left}
		if !s.tcp {
			return
		}
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			p.Acked = info.Bytes_acked
		}
	})
	return p
}

// End checks for the peer's end, even behind unread input.
func (s *Socket) End() (e End) {
	s.rc.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if n, err := unix.Poll(fds, 0); n == 1 && err == nil {
			e.Gone = fds[0].Revents&unix.POLLHUP != 0
			e.Failed = fds[0].Revents&unix.POLLERR != 0 || e.Gone && s.tcp && closedEarly(int(fd))
			e.Ended = e.Failed || fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP) != 0
		}
	})
	return e
}

// closedEarly reports whether a TCP connection was closed before its peer had
// acknowledged everything. POLLHUP alone also means that both directions have
// ended in order (tcp_poll).
func closedEarly(fd int) bool {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || info.State != unix.BPF_TCP_CLOSE {
		return false
	}
	left, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	return err == nil && left > 0
}

// Acknowledges reports whether Progress covers what the kernel has taken but the
// peer has not.
func (s *Socket) Acknowledges() bool { return s.tcp }
