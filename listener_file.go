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

// A socketFile is the file of a unix listener. A nil one is none.
type socketFile struct {
	ln   *net.UnixListener
	path string
	info fs.FileInfo // of the file that the listener has made; nil if it is gone already
	keep bool
}

// fileOf returns the socket file of ln if that has one. With keep it outlives
// the listener.
func fileOf(ln net.Listener, keep bool) *socketFile {
	ul, ok := ln.(*net.UnixListener)
	if !ok || !hasFile(ul.Addr().String()) {
		return nil
	}
	f := &socketFile{ln: ul, path: ul.Addr().String(), keep: keep}
	f.info, _ = os.Lstat(f.path) // an error means that it is not there to be removed
	return f
}

// hasFile reports whether a unix socket of that name has a file: an abstract one
// (unix(7)) has not.
func hasFile(name string) bool { return name != "" && name[0] != '@' && name[0] != 0 }

// leave makes closing the listener leave the file where it is, if it is to be
// kept, or is another listener's that has taken the name since. It must be called
// right before: net removes the file and only then closes the socket, so nobody
// who checks whether the name is in use takes it in between. As long as the socket
// is open its file's inode is not used again, so the same inode is the same file.
func (f *socketFile) leave() {
	if f == nil {
		return
	}
	info, err := os.Lstat(f.path)
	if f.keep || err != nil || f.info == nil || !os.SameFile(info, f.info) {
		f.ln.SetUnlinkOnClose(false)
	}
}

// setMode gives a socket file its permissions, once it is bound.
func (set *settings) setMode(ln net.Listener) error {
	if set.SocketMode == 0 {
		return nil
	}
	if err := os.Chmod(ln.Addr().String(), set.SocketMode); err != nil {
		return fmt.Errorf("chanio: option SocketMode: %w", err)
	}
	return nil
}

// checkMode reports a SocketMode that the listener of that address cannot have.
func (set *settings) checkMode(network, address string) error {
	switch {
	case set.SocketMode == 0 || network != "unix":
		return nil
	case runtime.GOOS == "windows" || runtime.GOOS == "plan9":
		return fmt.Errorf("chanio: option SocketMode: %w", errors.ErrUnsupported)
	case !hasFile(address):
		return fmt.Errorf("chanio: option SocketMode: %q has no file", strings.ReplaceAll(address, "\x00", "@"))
	}
	return nil
}

// restrict keeps the file of a unix socket, which bind will make, from being more
// open than SocketMode for a moment, where a system can.
func (set *settings) restrict(network string, fd uintptr) error {
	if set.SocketMode == 0 || network != "unix" {
		return nil
	}
	return sockopt.Mode(fd, set.SocketMode)
}
