package natsroom

import "time"

// Pauses of one who reads a stream that does not answer, or not yet with what it
// is known to have.
const (
	minPause  = 50 * time.Millisecond
	maxPause  = time.Second
	maxVacant = 20 // answers without anything, before it is taken for gone
)

// catchUp delivers what is in the stream after what was delivered, up to target
// at least, which the stream is known to have had. It goes on until it has done
// so, also while the server is away, or the room ends or has no members left.
// The worker calls it.
func (r *Room) catchUp(target uint64) {
	pause := minPause
	for vacant := 0; r.worker.last < target; {
		got, err := r.read()
		switch {
		case got:
			vacant, pause = 0, minPause
			continue
		case err == nil:
			if vacant++; vacant == maxVacant { // it is kept no longer
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

// lookBehind delivers what is in the stream after what was delivered, whatever
// that is. If it is another stream than before, it begins at its beginning. The
// worker calls it.
func (r *Room) lookBehind() {
	if !r.inbox.placed() || !r.live.Load() {
		return
	}
	if epoch := r.node.stream.epoch.Load(); epoch != r.worker.epoch {
		r.worker.epoch = epoch
		r.worker.begun, r.worker.last = 0, 0 // what was delivered before is dropped by its sources' sequences
	}
	for {
		if got, err := r.read(); !got || err != nil {
			if err != nil {
				r.node.stream.broken.Store(true) // to look again
			}
			return
		}
	}
}

// read reads and delivers a batch of what follows. It reports whether there was
// any.
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

// pause waits for d. It reports false if the room has ended, or nobody wants
// what is read any more.
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
