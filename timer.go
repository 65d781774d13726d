package chanio

import (
	"context"
	"sync"
	"time"
)

// A Timer waits: once for a duration, until a time of day, or periodically.
// Each wait that is armed ends in exactly one [Expiry], expired or canceled,
// which is received from [Timer.C] or returned by [Timer.Wait].
//
// A timer takes no goroutine while it waits. Its methods are safe for
// concurrent use and none but Wait blocks. There is nothing to close: a timer
// lives, and is referenced, until the context it was made with ends, so a
// short-lived timer wants a short-lived context.
type Timer struct {
	// c has room for one. It is sent to and closed only with mu held, so that
	// a send for which room was made never blocks.
	c chan Expiry

	mu       sync.Mutex
	alarm    *time.Timer   // calls expire; nil until the first wait
	armed    bool          // a wait is running
	deadline time.Time     // when it expires
	period   time.Duration // from one expiry to the next; zero: there is one
	fired    bool          // the newest value is an expiry, which c may still hold
	ended    bool          // the context has, and c is closed
}

// An Expiry is how a wait of a [Timer] ended.
type Expiry struct {
	// Time is when the wait ended.
	Time time.Time
	// Canceled is true if the wait was ended before its time: by
	// [Timer.Cancel], by arming the timer anew, or with the timer's context.
	Canceled bool
}

// NewTimer returns a timer with no wait armed. When ctx ends, so does the
// timer: an armed wait is canceled, [Timer.C] is closed, and arming the timer
// has no effect any more.
func NewTimer(ctx context.Context) *Timer {
	t := &Timer{c: make(chan Expiry, 1)}
	if ctx.Err() != nil {
		t.end()
		return t
	}
	context.AfterFunc(ctx, t.end)
	return t
}

// Reset arms the timer to expire once, after d; a d that is not positive
// expires at once. A wait that was armed before ends as canceled. Once Reset,
// ResetAt, Every or Cancel has returned, neither C nor Wait yields an expiry of
// an earlier wait: one that was not received is dropped.
func (t *Timer) Reset(d time.Duration) { t.arm(d, time.Now().Add(d), 0) }

// ResetAt arms the timer to expire once, at the time at; a time that has
// passed expires at once. A wait that was armed before ends as canceled.
//
// What is left until then is computed in the call, as [time.Until] does, and
// counted as elapsed time from there on. So when the system clock is set
//
//   - during the wait, nothing changes: the timer expires after as long, and
//     the clock reads something else than at;
//   - before the call, an at that was computed from [time.Now] expires as if
//     the clock had not been set, and one that is only a reading of the clock
//     (parsed, made by [time.Date], or stripped by Round(0)) expires when the
//     clock as it is now set will read at.
//
// To follow a clock that is set, arm the timer anew.
func (t *Timer) ResetAt(at time.Time) {
	now := time.Now()
	d := at.Sub(now) // 292 years at most
	deadline := now.Add(d)
	if !deadline.Equal(at) {
		deadline = at
	}
	t.arm(d, deadline, 0)
}

// Every arms the timer to expire every d, the first time after d. Each expiry
// is the end of one wait and the start of the next, and they keep their
// rhythm: like a [time.Ticker], the timer drops the ones that are past
// already, and those that a slow receiver did not receive in time. A wait that
// was armed before ends as canceled. A d that is not positive arms nothing.
func (t *Timer) Every(d time.Duration) {
	if d <= 0 {
		t.Cancel()
		return
	}
	t.arm(d, time.Now().Add(d), d)
}

// C returns the channel of the waits' ends, which is always the same. Only the
// timer sends, one value a wait, and it closes the channel when its context
// ends, after the last value. The channel holds the newest value: a value that
// was not received is replaced by the next, also by the Canceled of a wait that
// was ended by arming the timer anew, and an expiry is dropped by Reset,
// ResetAt, Every and Cancel. A slow receiver holds up nothing. The channel is
// meant for one receiver; each value goes to one of several.
func (t *Timer) C() <-chan Expiry { return t.c }

// Wait returns the next value of [Timer.C], so it ends when the armed wait
// does, expired or canceled, and returns a value that nobody has received at
// once. With no wait armed it blocks until one has been armed and ended.
//
// When ctx ends, Wait returns its error and leaves the wait armed; if ctx had
// ended before the call, it takes no value. When the timer's context has ended
// and there is no value left, the error is [ErrClosed].
func (t *Timer) Wait(ctx context.Context) (Expiry, error) {
	if err := ctx.Err(); err != nil {
		return Expiry{}, err
	}
	select {
	case e, ok := <-t.c:
		if !ok {
			return Expiry{}, wrapOp("wait", "timer", nil, nil, ErrClosed)
		}
		return e, nil
	case <-ctx.Done():
		return Expiry{}, ctx.Err()
	}
}

// Cancel ends the armed wait, and so a periodic timer, and reports whether
// there was one. When Cancel returns true the wait's value is a canceled one;
// when it returns false no wait was armed, or it had ended; an expiry that was
// not received is dropped.
func (t *Timer) Cancel() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.disarm()
}

// Deadline returns when the armed wait expires, which for a periodic timer is
// its next expiry, and false if no wait is armed.
func (t *Timer) Deadline() (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.armed {
		return time.Time{}, false
	}
	return t.deadline, true
}

// arm starts a wait of d, until deadline, followed by waits of period unless that
// is zero.
func (t *Timer) arm(d time.Duration, deadline time.Time, period time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return
	}
	t.disarm()
	t.armed, t.deadline, t.period = true, deadline, period
	if t.alarm == nil {
		t.alarm = time.AfterFunc(d, t.expire)
	} else {
		t.alarm.Reset(d)
	}
}

// expire is run by the alarm. It may come late, when the wait it was meant for
// has been canceled and another one armed: that one's time has not come then,
// and its own alarm will.
func (t *Timer) expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	switch {
	case !t.armed:
		return
	case now.Before(t.deadline):
		t.alarm.Reset(time.Until(t.deadline))
		return
	}
	t.deliver(Expiry{Time: now})
	if t.period == 0 {
		t.armed = false
		return
	}
	missed := now.Sub(t.deadline) / t.period
	t.deadline = t.deadline.Add((missed + 1) * t.period)
	t.alarm.Reset(time.Until(t.deadline))
}

// disarm is cancel for a caller who must not meet an expiry from before: one
// that c still holds is dropped. The caller holds mu.
func (t *Timer) disarm() bool {
	armed := t.cancel()
	if t.fired {
		t.fired = false
		select {
		case <-t.c:
		default: // it was received
		}
	}
	return armed
}

// cancel ends the armed wait, if there is one, with mu held.
func (t *Timer) cancel() bool {
	if !t.armed {
		return false
	}
	t.armed = false
	t.alarm.Stop() // whether it was in time does not matter: expire looks at armed
	t.deliver(Expiry{Time: time.Now(), Canceled: true})
	return true
}

// deliver puts e into c, in the place of a value nobody received, with mu held.
func (t *Timer) deliver(e Expiry) {
	select {
	case <-t.c:
	default:
	}
	t.c <- e
	t.fired = !e.Canceled
}

// end cancels the armed wait and closes c: the timer's context has ended.
func (t *Timer) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cancel()
	t.ended = true
	close(t.c)
}
