package sockopt

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Mode sets the permissions of the file that binding the unix socket fd makes:
// on Linux they are those of the socket, less the umask.
func Mode(fd uintptr, mode fs.FileMode) error {
	return os.NewSyscallError("fchmod", unix.Fchmod(int(fd), uint32(mode.Perm())))
}
