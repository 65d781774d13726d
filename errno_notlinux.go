//go:build !linux && !windows && !plan9

package chanio

// ofConnection returns false: only Linux's accept(2) returns the errors of
// connections.
func ofConnection(errorNumber) bool { return false }
