//go:build !linux

package chanio

// arrivals does nothing here: each session's reader waits for its first input.
type arrivals struct{}

func (*arrivals) await(*Session, *registry) bool { return false }

func (*arrivals) close() {}
