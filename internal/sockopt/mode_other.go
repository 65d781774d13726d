//go:build !linux

package sockopt

import "io/fs"

// Mode does nothing: only Linux lets a socket have permissions before it is
// bound.
func Mode(uintptr, fs.FileMode) error { return nil }
