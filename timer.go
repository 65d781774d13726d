package chanio

import (
	"context"
	"sync"
	"time"
)

// A Timer waits once for a duration, until a point in time, or periodically.
// Each armed wait ends in exactly one [Expiry], expired or canceled, which is
// received from [Timer.C] or returned by [Timer.Wait].
//
// A waiting timer takes no goroutine. Its methods are safe for concurrent use,
// and only Wait blocks. There is nothing to close: a timer lives, and is
// referenced, until its context ends, so a short-lived timer needs a
// short-lived context.
type Timer struct {
	// c has room for one value. It is sent to and closed only with mu held, so
	// a send for which room was made never blocks.
	c chan Expiry

	mu       sync.Mutex
	alarm    *time.Timer   // calls expire; nil until the first wait
	armed    bool          // a wait is running
	deadline time.Time     // when it expires
	period   time.Duration // between expiries; zero: there is only one
	fired    bool          // the newest value is an expiry, which c may still hold
	ended    bool          // the context has ended, and c is closed
}

// An Expiry reports how a wait of a [Timer] ended.
type Expiry struct {
	// Time is when the wait ended.
	Time time.Time
	// Canceled is true if the wait was ended early: by [Timer.Cancel], by
	// rearming the timer, or with the timer's context.
	Canceled bool
}

// NewTimer returns an unarmed timer. The timer ends with ctx: an armed
// wait is canceled, [Timer.C] is closed, and arming the timer has no effect.
func NewTimer(ctx context.Context) *Timer {
	t := &Timer{c: make(chan Expiry, 1)}
	if ctx.Err() != nil {
		t.end()
		return t
	}
	context.AfterFunc(ctx, t.end)
	return t
}

// Reset arms the timer to expire once, after d. If d is not positive, it
// expires at once. A wait that was armed before ends as canceled. Once Reset,
// ResetAt, Every or Cancel has returned, neither C nor Wait yields an expiry of
// an earlier wait: one that was not received is dropped.
func (t *Timer) Reset(d time.Duration) { t.arm(d, time.Now().Add(d), 0) }

// ResetAt arms the timer to expire once, at the time at. A time in the past
// expires at once. A wait that was armed before ends as canceled.
//
// The call computes the remaining time, as [time.Until] does, and from then on
// counts elapsed time. So when the system clock is set
//
//   - during the wait, nothing changes: the timer expires after the same
//     duration, and the clock then reads something other than at;
//   - before the call, a time computed from [time.Now] expires as if the clock
//     had not been set; a time that is only a clock reading (parsed, made by
//     [time.Date], or stripped by Round(0)) expires when the clock as now set
//     reads at.
//
// To follow a clock that is set, rearm the timer.
func (t *Timer) ResetAt(at time.Time) {
	now := time.Now()
	d := at.Sub(now) // at most 292 years
	deadline := now.Add(d)
	if !deadline.Equal(at) {
		deadline = at
	}
	t.arm(d, deadline, 0)
}

// Every arms the timer to expire every d, the first time after d. Each expiry
// ends one wait and starts the next. Expiries keep their rhythm: like a
// [time.Ticker], the timer drops those that are already past and those that a
// slow receiver did not receive in time. A wait that was armed before ends as
// canceled. If d is not positive, Every arms nothing.
func (t *Timer) Every(d time.Duration) {
	if d <= 0 {
		t.Cancel()
		return
	}
	t.arm(d, time.Now().Add(d), d)
}

// C returns the channel on which waits report their ends. It is always the same
// channel. Only the timer sends, one value for each wait, and it closes the
// channel when its context ends, after the last value.
//
// The channel holds the newest value. A value that was not received is replaced
// by the next, including the Canceled of a wait that was ended by rearming the
// timer, and Reset, ResetAt, Every and Cancel drop an unreceived expiry. A slow
// receiver holds up nothing. The channel is meant for one receiver; with
// several, each value goes to one of them.
func (t *Timer) C() <-chan Expiry { return t.c }

// Wait returns the next value of [Timer.C]. It returns when the armed wait
// ends, expired or canceled, and at once if a value is waiting to be received.
// If no wait is armed, it blocks until one has been armed and ended.
//
// When ctx ends, Wait returns its error and leaves the wait armed. If ctx ended
// before the call, Wait takes no value. When the timer's context has ended and
// no value is left, the error is [ErrClosed].
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

// Cancel ends the armed wait, and with it a periodic timer, and reports whether
// there was one. If Cancel returns true, the wait's value is a canceled one. If
// it returns false, no wait was armed or it had already ended. An unreceived
// expiry is dropped.
func (t *Timer) Cancel() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.disarm()
}

// Deadline returns when the armed wait expires, for a periodic timer its next
// expiry, and false if no wait is armed.
func (t *Timer) Deadline() (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.armed {
		return time.Time{}, false
	}
	return t.deadline, true
}

// arm starts a wait of d, until deadline, followed by waits of period unless
// period is zero.
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

// expire is called by the alarm. It may be called late, after its wait was
// canceled and another one armed. That one is not due yet, and its own alarm
// will come.
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

// disarm is cancel for callers that must not leave an earlier expiry behind:
// one that c still holds is dropped. The caller holds mu.
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

// cancel ends the armed wait, if there is one. The caller holds mu.
func (t *Timer) cancel() bool {
	if !t.armed {
		return false
	}
	t.armed = false
	t.alarm.Stop() // it may be too late, but expire checks armed
	t.deliver(Expiry{Time: time.Now(), Canceled: true})
	return true
}

// deliver puts e into c, replacing an unreceived value. The caller holds mu.
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
