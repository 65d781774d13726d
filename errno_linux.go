package chanio

import "syscall"

// ofConnection reports whether errno is a network's error that was pending on a
// new connection: accept(2) of Linux passes those on, and says to retry.
func ofConnection(errno syscall.Errno) bool {
	switch errno {
	case syscall.ENETDOWN, syscall.ENOPROTOOPT, syscall.EHOSTDOWN, syscall.ENONET,
		syscall.EHOSTUNREACH, syscall.EOPNOTSUPP, syscall.ENETUNREACH:
		return true
	}
	return false
}
