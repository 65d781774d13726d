//go:build unix

package sock

import "syscall"

// IgnoreEINTR repeats a system call that a signal interrupted.
func IgnoreEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != syscall.EINTR {
			return n, err
		}
	}
}
