package chanio

import (
	"io/fs"
	"syscall"
)

// changedAt returns when a file's inode changed (ctime of stat(2)), which no
// program can set back.
func changedAt(info fs.FileInfo) syscall.Timespec {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ctim
	}
	return syscall.Timespec{}
}
