package chanio

import "sync/atomic"

// A latch is a channel that is closed once. It is made on first use, so a
// session whose channel is never asked for has none. The zero latch is open.
type latch struct{ c atomic.Pointer[chan struct{}] }

// wait returns the channel.
func (l *latch) wait() <-chan struct{} { return l.channel() }

// shut closes the channel. It must be called once.
func (l *latch) shut() { close(l.channel()) }

// channel returns the channel and makes it if needed.
func (l *latch) channel() chan struct{} {
	if c := l.c.Load(); c != nil {
		return *c
	}
	c := make(chan struct{})
	if !l.c.CompareAndSwap(nil, &c) {
		c = *l.c.Load()
	}
	return c
}

// isShut reports whether shut was called.
func (l *latch) isShut() bool {
	c := l.c.Load()
	if c == nil {
		return false
	}
	select {
	case <-*c:
		return true
	default:
		return false
	}
}
