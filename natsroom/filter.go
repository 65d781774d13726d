package natsroom

import "time"

// A filter lets each message of each source through once and in the source's
// order, and counts what is missing. It is a room's worker's, or a Replay's.
type filter struct {
	// since is when the room was subscribed to: of a source that was made later
	// all is owed. Zero: what is first seen of any source is its first.
	since   time.Time
	sources map[number]*progress
}

// progress is how far a source has come.
type progress struct {
	next uint64
	seen time.Time
}

// skew is how far the clocks of two nodes may be apart without a wrong count of
// what is missing, where a node that nobody had heard of loses its first message.
const skew = time.Second

// forgetAfter is how long a source that is silent is remembered.
const forgetAfter = 10 * time.Minute

// live passes packets of a room without History, in the order of their arrival.
// It returns how many messages of p are repetitions and how many before it are
// missing.
func (f *filter) live(p *packet, now time.Time) (repeated int, missing uint64) {
	s := f.source(p.source, p.first, now)
	if p.first > s.next {
		missing = p.first - s.next
		s.next = p.first
	}
	return f.pass(s, p), missing
}

// stored passes packets of sources that are known, in the order of their stream.
// What is not in its source's order will come again, unless the source knew it to
// be in the stream already: then it has been there and is no more.
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

// meet notes that next is what is owed of a source, which is not known yet.
func (f *filter) meet(source number, next uint64, now time.Time) {
	f.source(source, 0, now).next = next
}

// passed notes that somebody else's filter let p through.
func (f *filter) passed(p *packet, now time.Time) { f.pass(f.source(p.source, p.first, now), p) }

// mark notes that all before next of a source must have come by now. It returns
// how many have not.
func (f *filter) mark(source number, next uint64, now time.Time) (missing uint64) {
	s := f.source(source, next, now)
	if next > s.next {
		missing = next - s.next
		s.next = next
	}
	return missing
}

// source returns the progress of a source, of which seq is now seen.
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

// forget drops sources that have been silent for long, so that nodes that come
// and go do not add up.
func (f *filter) forget(now time.Time) {
	for id, s := range f.sources {
		if now.Sub(s.seen) > forgetAfter {
			delete(f.sources, id)
		}
	}
}
