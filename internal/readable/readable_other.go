//go:build !unix

package readable

import "syscall"

// wait lets RawConn.Read wait once: what it calls has to say that there was
// nothing.
func wait(rc syscall.RawConn) error {
	asked := false
	return rc.Read(func(uintptr) bool {
		was := asked
		asked = true
		return was
	})
}

// now cannot tell without waiting.
func now(syscall.RawConn) bool { return false }
