//go:build unix

package soak

import (
	"errors"
	"fmt"
	"os"

	"example.com/chanio"
)

// judgeSides compares the accounts of both sides of an exchange, which is over,
// with each other and with what the library reported.
func judgeSides(a, b *side) {
	a.judgeCounters()
	b.judgeCounters()
	judgeDirection(a, b)
	judgeDirection(b, a)
}

func sum[N int | int64](n [lanes]N) N { return n[single] + n[batched] }

func (d *side) complain(wrong bool, what string) {
	if wrong {
		d.problem("%s", what)
	}
}

// judgeCounters checks a side's counters against its own account.
func (d *side) judgeCounters() {
	st, err := d.s.Stats(), d.s.Err()
	d.complain(st.BytesPending != 0 || st.Sessions != 0, "it is not over")
	sent := st.BytesSent + st.Undelivered
	over := int64(0) // what a frame may add to each message
	if d.place.Framed {
		over = 4 * sum(d.maybe)
	}
	d.complain(sent < sum(d.sureBytes) || sent > sum(d.bytes)+over, "sent and undelivered are not what was accepted")
	d.complain(st.MessagesSent > sum(d.maybe), "more was sent than was accepted")
	if st.Undelivered == 0 && d.Way == finish && err == nil {
		d.complain(st.MessagesSent != sum(d.sure), "messages sent are not those accepted")
	}
	d.complain(st.MessagesReceived != d.values, "MessagesReceived is not the number of messages taken")
	d.complain(st.BytesReceived < d.taken, "fewer bytes were received than there were")
	if !d.stopped && err == nil && !d.place.Framed {
		d.complain(st.BytesReceived != d.taken, "BytesReceived is not the number of bytes taken")
	}
	if d.Way == finish {
		d.complain(d.closeErr == nil && st.Undelivered > 0, "Close is nil, and something is undelivered")
	}
	d.complain(d.closeErr != nil && st.Undelivered == 0 && err == nil, "Close is an error, and nothing was wrong")
}

// cutOff reports whether the side, by its own doing, may have ended before all
// that its peer sent had arrived.
func (d *side) cutOff() bool {
	return d.stopped || errors.Is(d.s.Err(), os.ErrDeadlineExceeded) || d.CloseAfter != timeout && d.s.Err() != nil
}

// judgeDirection judges what x sent and y received.
func judgeDirection(x, y *side) {
	sent, came := x.s.Stats().BytesSent, y.s.Stats().BytesReceived
	x.complain(came > sent, fmt.Sprintf("the peer received %d bytes, of %d sent", came, sent))
	ends := x.Way == finish && y.Way == finish && x.s.Err() == nil && y.s.Err() == nil
	x.complain(ends && x.closeErr == nil && came != sent, fmt.Sprintf("the peer received %d bytes, not the %d sent", came, sent))
	for lane := range lanes {
		got := y.received[lane]
		complain := func(wrong bool, what string) {
			if wrong {
				x.problem("lane %d: %s: %d accepted (%d with those that may have been late), %d confirmed, %d received",
					lane, what, x.sure[lane], x.maybe[lane], x.confirmed[lane], got)
			}
		}
		complain(got > x.maybe[lane], "more was received than was sent")
		if y.cutOff() {
			continue
		}
		missing := got < x.sure[lane]
		st, err := x.s.Stats(), x.s.Err()
		complain(missing && st.Undelivered == 0 && err == nil && x.closeErr == nil, "a loss that was not reported")
		complain(missing && x.closeErr == nil && (x.Way == finish || x.Way == shut), "Close is nil, and something did not arrive")
		complain(missing && x.Way == finish && y.s.Err() == nil && err == nil, "a clean end without everything before it")
		if x.keepsWhatIsConfirmed(y) {
			complain(got < x.confirmed[lane], "Flush confirmed what did not arrive")
		}
	}
}

// keepsWhatIsConfirmed reports whether what Flush confirmed to x must have
// arrived at y: x ended without a reset, and y sent nothing that could cause
// one at a socket that is closed.
func (x *side) keepsWhatIsConfirmed(y *side) bool {
	quiet := sum(y.maybe) == 0
	switch x.Way {
	case finish, shut:
		return x.closeErr == nil
	case cancel:
		return quiet && errors.Is(x.s.Err(), errPlanned)
	}
	return false
}

// String is what a report shows of a side.
func (d *side) String() string {
	return fmt.Sprintf("%s: %+v sure %v maybe %v confirmed %v received %v values %d taken %d stopped %v; Close %v, Err %v, %+v",
		d.name, d.role, d.sure, d.maybe, d.confirmed, d.received, d.values, d.taken, d.stopped, d.closeErr, d.s.Err(), d.s.Stats())
}

// addUp adds the counters of which a listener has the totals.
func addUp(total *chanio.Stats, st chanio.Stats) {
	total.BytesReceived += st.BytesReceived
	total.BytesSent += st.BytesSent
	total.MessagesReceived += st.MessagesReceived
	total.MessagesSent += st.MessagesSent
	total.MessagesDropped += st.MessagesDropped
	total.Undelivered += st.Undelivered
}
