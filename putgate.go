package chanio

import (
	"errors"
	"runtime"
	"sync/atomic"
)

// A putGate counts the Puts that are inside and, once it is shut, lets no more
// in: who waits until they are gone misses nothing that they accepted. The zero
// putGate is open.
type putGate struct {
	inside atomic.Int64 // Puts, and gateBar once the gate is shut
}

// gateBar is the bit of putGate.inside that refuses further Puts.
const gateBar = 1 << 62

// enter lets a Put in, which has to leave, unless the gate is shut.
func (g *putGate) enter() bool {
	for {
		n := g.inside.Load()
		if n&gateBar != 0 {
			return false
		}
		if g.inside.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave reports whether the gate is shut and this was the last Put inside: that
// is true once, of leave or of shut.
func (g *putGate) leave() (last bool) { return g.inside.Add(-1) == gateBar }

// shut is to be called once. It reports whether nobody is inside.
func (g *putGate) shut() (empty bool) { return g.inside.Or(gateBar) == 0 }

// empty reports whether the gate is shut and nobody is inside.
func (g *putGate) empty() bool { return g.inside.Load() == gateBar }

// errGivenUp is what offer returns when giveUp was closed.
var errGivenUp = errors.New("chanio: given up")

// offer sends m on c and waits for room until refused or giveUp is closed. It
// uses the users' channel, which keeps the order of Put and Send in one
// goroutine, and so it can meet a channel that a user has closed: that is
// ErrClosed too.
func offer[T any](c chan<- T, m T, refused, giveUp <-chan struct{}) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(runtime.Error); !ok {
				panic(r)
			}
			err = ErrClosed
		}
	}()
	select {
	case c <- m:
		return nil
	default:
	}
	select {
	case c <- m:
		return nil
	case <-refused:
		return ErrClosed
	case <-giveUp:
		return errGivenUp
	}
}

// drain takes what is in c now and returns how many messages that were, and of how
// many bytes.
func drain[T any](c <-chan T, size func(T) int) (messages, bytes int64) {
	for range len(c) { // and no more: a bare sender may be filling it all the time
		select {
		case m, ok := <-c:
			if ok {
				messages++
				bytes += int64(size(m))
			}
		default:
			return messages, bytes
		}
	}
	return messages, bytes
}
