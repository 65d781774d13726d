package chanio

import (
	"slices"
	"sort"

	"example.com/chanio/internal/sharedlog"
)

// A feed is what a hub has for its members with one framing: the log that they
// share and their places in it. The hub's mu guards everything except the log's
// readers.
type feed struct {
	hub     *Hub
	framing Framing // nil: a raw stream, or datagrams
	log     sharedlog.Log
	clear   int64 // up to here in the log no member lags
	mayKeep int64 // how much may be kept for members that left: see tooMuchKept

	// The members, and those that left but have yet to write what was published
	// before. In order:
	//   - places[:due] have written everything up to a message for which they
	//     are still to be woken: see starts;
	//   - places[due:parked] have written everything and wait for the next
	//     message;
	//   - places[parked:staying] are in the hands of their sessions' writers;
	//   - places[staying:] have left.
	places               []*member
	due, parked, staying int32
	starts               *[]wakeStart // where due members begin to read, in order; nil if there are none
}

// A wakeStart is a message that found members parked.
type wakeStart struct {
	weight int64 // weight of the log before it
	at     sharedlog.Cursor
}

// feeds iterates over the hub's feeds. The caller holds mu.
func (h *Hub) feeds(yield func(*feed) bool) {
	if !yield(&h.first) {
		return
	}
	if others := h.others.Load(); others != nil {
		for _, f := range *others {
			if !yield(f) {
				return
			}
		}
	}
}

// feedOf returns the feed of a framing, creating it if necessary. The caller
// holds mu.
func (h *Hub) feedOf(framing Framing) *feed {
	for f := range h.feeds {
		if sameFraming(f.framing, framing) {
			return f
		}
	}
	f := &feed{hub: h, framing: framing, log: sharedlog.New(int(h.maxLag)), clear: h.maxLag}
	var others []*feed
	if old := h.others.Load(); old != nil {
		others = *old
	}
	others = append(slices.Clone(others), f)
	h.others.Store(&others)
	return f
}

// dropFeed forgets f if it has no places, unless it is the hub's first feed.
// The caller holds mu.
func (h *Hub) dropFeed(f *feed) {
	if f == &h.first || len(f.places) > 0 {
		return
	}
	others := slices.DeleteFunc(slices.Clone(*h.others.Load()), func(other *feed) bool { return other == f })
	if len(others) == 0 {
		h.others.Store(nil)
		return
	}
	h.others.Store(&others)
}

// head returns the weight of the log.
func (f *feed) head() int64 { return f.log.Head().Weight }

// move swaps m with places[i].
func (f *feed) move(m *member, i int32) {
	other := f.places[i]
	f.places[i], f.places[m.index] = m, other
	other.index, m.index = m.index, i
}

// add makes m a member that is up to date.
func (f *feed) add(m *member) {
	m.index = int32(len(f.places))
	f.places = append(f.places, m)
	m.base = -f.head()
	f.move(m, f.staying)
	f.staying++
	f.park(m)
}

// rejoin makes m, which has left and is still reading, a member again.
func (f *feed) rejoin(m *member) {
	m.mu.Lock()
	m.cursor = f.log.End()
	m.mu.Unlock()
	m.base -= f.head() // until now it was the total due to it
	f.move(m, f.staying)
	f.staying++
	f.clear = 0 // it may be further behind than the others
}

// park records that m, a member, has written everything; the next message will
// find it.
func (f *feed) park(m *member) {
	f.move(m, f.parked)
	f.parked++
	m.cursor = sharedlog.Cursor{}
	if m.behind != nil && m.behind.after.taken() {
		m.behind = nil
	}
	m.settled()
	f.trim()
}

// idle reports whether m is parked with nothing to be woken for.
func (f *feed) idle(m *member) bool { return f.due <= m.index && m.index < f.parked }

// published records that a message was appended, before which at stands and the
// log had this weight: parked members must be woken.
func (f *feed) published(at sharedlog.Cursor, weight int64) {
	if f.due == f.parked {
		return
	}
	if f.starts == nil {
		f.starts = new([]wakeStart)
	}
	*f.starts = append(*f.starts, wakeStart{weight, at})
	f.due = f.parked
}

// rouse makes m, which is parked, active, and moves its cursor to where it
// reads next. The caller tells its session without holding the hub's mu.
func (f *feed) rouse(m *member) {
	if m.index < f.due {
		// Messages without weight are empty ones on a stream, where they are
		// nothing. It does not matter if m meets some that it has already read.
		parked := m.taken.Load() - m.base
		starts := *f.starts
		i := sort.Search(len(starts), func(i int) bool { return starts[i].weight >= parked })
		m.mu.Lock()
		m.cursor = starts[i].at
		m.mu.Unlock()
		f.due--
		f.move(m, f.due)
		if f.due == 0 {
			f.starts = nil
		}
	}
	f.parked--
	f.move(m, f.parked)
}

// remove moves m from the members to those that left, so that it gets nothing
// published from now on. It reports whether its session must be told that there
// is something to read.
func (f *feed) remove(m *member) (tell bool) {
	if m.index < f.parked {
		tell = m.index < f.due
		f.rouse(m)
	}
	m.cut()
	m.base += f.head()
	f.staying--
	f.move(m, f.staying)
	f.hub.ungate(m)
	f.hub.lenChanged()
	return tell
}

// unlink forgets m, which has left.
func (f *feed) unlink(m *member) {
	last := len(f.places) - 1
	f.move(m, int32(last))
	f.places[last] = nil
	f.places = f.places[:last]
	if cap(f.places) > 8 && last < cap(f.places)/4 {
		f.places = slices.Clone(f.places) // past members leave no memory behind
	}
	f.hub.ungate(m)
	m.index = -1
	f.trim()
	f.hub.dropFeed(f)
	f.hub.retire()
}

// trim drops the log when no one has anything to read in it.
func (f *feed) trim() {
	if f.due == 0 && int(f.parked) == len(f.places) {
		f.log.Drop()
	}
}
