//go:build !linux

package chanio

// pollers and polledReader are Linux's: elsewhere every session's reader waits in a
// goroutine of its own.
type (
	pollers      struct{}
	polledReader struct{}
)

func (*pollers) wait() {}

func newPolledReader(*Session, transport) *polledReader { return nil }

func (*polledReader) start() bool { return false }
func (*polledReader) call()       {}
