package natsroom

import "time"

// A filter passes each message of each source once and in the source's order,
// and counts what is missing. It belongs to a room's worker or to a Replay.
type filter struct {
	// since is when the room was subscribed to, or when the last source was made that
	// has been forgotten: a source made later owes all its messages. If zero, the
	// first message seen of any source is its first.
	since   time.Time
	sources map[number]*progress
}

// progress records how far a source has come.
type progress struct {
	next uint64
	seen time.Time
}

// skew is how far apart the clocks of two nodes may be without a wrong count of
// what is missing when an unknown node loses its first message.
const skew = time.Second

// forgetAfter is how long a silent source is remembered.
const forgetAfter = 10 * time.Minute

// live passes packets of a room without History, in order of arrival. It returns
// how many messages of p are duplicates and how many before it are missing.
func (f *filter) live(p *packet, now time.Time) (repeated int, missing uint64) {
	s := f.source(p.source, p.first, now)
	if p.first > s.next {
		missing = p.first - s.next
		s.next = p.first
	}
	return f.pass(s, p), missing
}

// stored passes packets of known sources, in the order of their stream. A packet
// that is out of its source's order will come again. Where messages are missing
// that the source knew to be in the stream already, they were there and are
// gone.
func (f *filter) stored(p *packet, now time.Time) (repeated int, missing uint64) {
	s := f.source(p.source, p.first, now)
	if p.floor >= s.next {
		missing = p.floor + 1 - s.next
		s.next = p.floor + 1
	}
	if p.first > s.next {
		return p.count, missing
	}
	return f.pass(s, p), missing
}

// knows reports whether a source has been seen.
func (f *filter) knows(source number) bool { return f.sources[source] != nil }

// meet records next as the first message owed by a source that is not known yet.
func (f *filter) meet(source number, next uint64, now time.Time) {
	f.source(source, 0, now).next = next
}

// passed records that another filter passed p.
func (f *filter) passed(p *packet, now time.Time) { f.pass(f.source(p.source, p.first, now), p) }

// mark records that all messages of a source before next must have arrived by
// now. It returns how many have not.
func (f *filter) mark(source number, next uint64, now time.Time) (missing uint64) {
	s := f.source(source, next, now)
	if next > s.next {
		missing = next - s.next
		s.next = next
	}
	return missing
}

// source returns the progress of the source id, of which seq was just seen.
func (f *filter) source(id number, seq uint64, now time.Time) *progress {
	s := f.sources[id]
	if s == nil {
		s = &progress{next: seq}
		if !f.since.IsZero() && id.made().After(f.since.Add(skew)) {
			s.next = 1
		}
		if f.sources == nil {
			f.sources = make(map[number]*progress)
		}
		f.forget(now)
		f.sources[id] = s
	}
	s.seen = now
	return s
}

// pass moves s past p, and returns how many of p's messages it had seen before.
func (*filter) pass(s *progress, p *packet) (repeated int) {
	if p.first < s.next {
		repeated = int(min(s.next-p.first, uint64(p.count)))
	}
	s.next = max(s.next, p.first+uint64(p.count))
	return repeated
}

// forget drops sources that have long been silent, so that nodes that come and
// go do not pile up.
func (f *filter) forget(now time.Time) {
	for id, s := range f.sources {
		if now.Sub(s.seen) <= forgetAfter {
			continue
		}
		delete(f.sources, id)
		if made := id.made(); !f.since.IsZero() && made.After(f.since) && !made.After(s.seen) {
			f.since = made // if it is heard again, it owes nothing of what has passed
		}
	}
}
