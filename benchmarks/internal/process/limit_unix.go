//go:build linux || darwin

package process

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// AllowFiles raises this process's limit of open files to at least n, as far as
// permissions allow. It returns an error if that is not enough.
func AllowFiles(n int) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	want := uint64(n)
	if l.Cur >= want {
		return nil
	}
	if uint64(l.Max) < want {
		l.Max = want // only a privileged process may
	}
	l.Cur = want
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("%d open files are not allowed (try ulimit -n): %w", n, err)
	}
	return nil
}
