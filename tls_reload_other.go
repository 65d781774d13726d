//go:build !linux

package chanio

import "io/fs"

// changedAt is Linux's: elsewhere size, modification time and identity show a change.
func changedAt(fs.FileInfo) int64 { return 0 }
