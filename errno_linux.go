package chanio

import "syscall"

// ofConnection reports whether errno is a network error that was pending on a
// new connection. Linux's accept(2) passes those on and says to retry.
func ofConnection(errno errorNumber) bool {
	switch errno {
	case syscall.ENETDOWN, syscall.ENOPROTOOPT, syscall.EHOSTDOWN, syscall.ENONET,
		syscall.EHOSTUNREACH, syscall.EOPNOTSUPP, syscall.ENETUNREACH:
		return true
	}
	return false
}
