package chanio

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strings"

	"example.com/chanio/internal/sockopt"
)

// A socketFile is the file of a unix listener. It may be nil.
type socketFile struct {
	ln   *net.UnixListener
	path string
	info fs.FileInfo // of the file that the listener created; nil if it is already gone
	keep bool
}

// fileOf returns the socket file of ln, if it has one. If keep is set, the file
// outlives the listener.
func fileOf(ln net.Listener, keep bool) *socketFile {
	ul, ok := ln.(*net.UnixListener)
	if !ok || !hasFile(ul.Addr().String()) {
		return nil
	}
	f := &socketFile{ln: ul, path: ul.Addr().String(), keep: keep}
	f.info, _ = os.Lstat(f.path) // an error means that there is no file to remove
	return f
}

// hasFile reports whether a unix socket of that name has a file. An abstract
// one (unix(7)) does not.
func hasFile(name string) bool { return name != "" && name[0] != '@' && name[0] != 0 }

// leave makes closing the listener keep the file if it is to be kept or if
// another listener has since taken the name. It must be called right before
// closing: net removes the file before it closes the socket, so no one who
// checks whether the name is in use takes it in between. While the socket is
// open, its file's inode is not reused, so the same inode means the same file.
func (f *socketFile) leave() {
	if f == nil {
		return
	}
	info, err := os.Lstat(f.path)
	if f.keep || err != nil || f.info == nil || !os.SameFile(info, f.info) {
		if ln, ok := any(f.ln).(interface{ SetUnlinkOnClose(bool) }); ok { // not on Plan 9
			ln.SetUnlinkOnClose(false)
		}
	}
}

// setMode sets the permissions of a socket file, once it is bound.
func (set *settings) setMode(ln net.Listener) error {
	if set.SocketMode == 0 {
		return nil
	}
	if err := os.Chmod(ln.Addr().String(), set.SocketMode); err != nil {
		return fmt.Errorf("chanio: option SocketMode: %w", err)
	}
	return nil
}

// checkMode reports a SocketMode that is impossible for a listener at that
// address.
func (set *settings) checkMode(network, address string) error {
	switch {
	case set.SocketMode == 0 || !isUnix(network):
		return nil
	case runtime.GOOS == "windows" || runtime.GOOS == "plan9":
		return fmt.Errorf("chanio: option SocketMode: %w", errors.ErrUnsupported)
	case !hasFile(address):
		return fmt.Errorf("chanio: option SocketMode: %q has no file", strings.ReplaceAll(address, "\x00", "@"))
	}
	return nil
}

// restrict keeps a unix socket's file, which bind will create, from being
// briefly more open than SocketMode, on systems that can.
func (set *settings) restrict(network string, fd uintptr) error {
	if set.SocketMode == 0 || !isUnix(network) {
		return nil
	}
	return sockopt.Mode(fd, set.SocketMode)
}
