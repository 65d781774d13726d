package chanio

import (
	"errors"
	"runtime"
	"sync/atomic"
)

// A putGate counts the Puts inside and, once shut, admits no more. A caller that
// waits until it is empty misses nothing that they accepted. The zero putGate is open.
type putGate struct {
	inside atomic.Int64 // the number of Puts, plus gateBar once the gate is shut
}

// gateBar is the bit of putGate.inside that refuses further Puts.
const gateBar = 1 << 62

// enter admits a Put unless the gate is shut. An admitted Put must leave.
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

// leave reports whether the gate is shut and this was the last Put inside. Of
// all leaves and shut, exactly one reports true.
func (g *putGate) leave() (last bool) { return g.inside.Add(-1) == gateBar }

// shut shuts the gate and reports whether it is empty. It must be called once.
func (g *putGate) shut() (empty bool) { return g.inside.Or(gateBar) == 0 }

// empty reports whether the gate is shut and no Put is inside.
func (g *putGate) empty() bool { return g.inside.Load() == gateBar }

// errGivenUp is offer's error once giveUp is closed.
var errGivenUp = errors.New("chanio: given up")

// offer sends m on c, waiting for room until refused or giveUp is closed. It
// uses the user's channel, which keeps Put and Send of one goroutine in order.
// The user may have closed that channel: that is ErrClosed too.
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

// queue is offer for a Put, which is counted first, so that no later one
// overtakes it.
func queue[T any](s *Session, o *writerState, c chan<- T, m T, giveUp <-chan struct{}) error {
	o.queued.Add(1)
	err := offer(c, m, s.refused.wait(), giveUp)
	if err != nil {
		o.queued.Add(-1)
	}
	return err
}

// drain receives what is in c now and returns how many messages and bytes that
// was.
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
