package natsroom

import "time"

// Pauses between reads of a stream that does not answer, or does not yet return
// what it is known to have.
const (
	minPause  = 50 * time.Millisecond
	maxPause  = time.Second
	maxVacant = 20 // empty answers until what is missing counts as gone
)

// catchUp delivers what the stream has beyond what was delivered, at least up to
// target, which the stream is known to have had. It keeps trying, even while the
// server is away, until it is done or the room ends or has no members left. The
// worker calls it.
func (r *Room) catchUp(target uint64) {
	pause := minPause
	for vacant := 0; r.worker.last < target; {
		got, err := r.read()
		switch {
		case got:
			vacant, pause = 0, minPause
			continue
		case err == nil:
			if vacant++; vacant == maxVacant { // it is no longer kept
				r.worker.last = target
				return
			}
		}
		if !r.pause(pause) {
			return
		}
		pause = min(2*pause, maxPause)
	}
}

// lookBehind delivers whatever the stream has beyond what was delivered. If the
// stream is a new one, it begins at its start; if it has lost its end since it was
// read, at the new end. last was the end after the time asked. The worker calls
// it.
func (r *Room) lookBehind(last uint64, asked time.Time) {
	if !r.inbox.placed() || !r.live.Load() {
		return
	}
	// Of what is read again, the filter drops what was delivered.
	w := &r.worker
	if epoch := r.node.stream.epoch.Load(); epoch != w.epoch {
		w.epoch = epoch
		w.begun, w.last = 0, 0
	} else if last < w.last && w.filter.since.Before(asked) {
		w.begun, w.last = min(w.begun, last), last
	}
	for {
		if got, err := r.read(); !got || err != nil {
			if err != nil {
				r.node.stream.broken.Store(true) // to try again
			}
			return
		}
	}
}

// read reads and delivers the next batch. It reports whether there was anything.
func (r *Room) read() (got bool, err error) {
	batch, err := r.node.stream.get(r.ctx, r.outbox.subject(), r.worker.last+1, time.Time{}, getBatch)
	for _, m := range batch {
		if m.seq > r.worker.last {
			got = true
			r.worker.last = m.seq
			r.deliver(m.data, m.seq)
		}
	}
	return got, err
}

// pause waits for d. It reports false if the room has ended or no longer wants
// what is read.
func (r *Room) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return r.inbox.placed()
	case <-r.closing:
		return false
	}
}
