package chanio

import (
	"slices"
	"sort"

	"example.com/chanio/internal/sharedlog"
)

// A feed is what a hub has for its members with one framing: the log that they
// share, and their places in it. All but the log's readers is guarded by the
// hub's mu.
type feed struct {
	hub     *Hub
	framing Framing // nil: a raw stream, or datagrams
	log     sharedlog.Log
	clear   int64 // up to here in the log no member lags
	mayKeep int64 // so much may be kept for those who have left: see tooMuchKept

	// Who is a member, and who has left and not yet written what was published
	// before. In order:
	//   - places[:due] have written everything up to a message that they are yet
	//     to be woken for: see starts;
	//   - places[due:parked] have written everything, and wait for the next message;
	//   - places[parked:staying] are in the hands of their sessions' writers;
	//   - places[staying:] have left.
	places               []*member
	due, parked, staying int32
	starts               *[]wakeStart // where those that are due begin to read, in order; nil if none is
}

// A wakeStart is a message that found members parked.
type wakeStart struct {
	weight int64 // of the log before it
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

// feedOf returns the feed of a framing, a new one if there is none. The caller
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

// dropFeed forgets f if it has no places, unless it is the hub's first. The
// caller holds mu.
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

// head is the weight of the log.
func (f *feed) head() int64 { return f.log.Head().Weight }

// move swaps m with places[i].
func (f *feed) move(m *member, i int32) {
	other := f.places[i]
	f.places[i], f.places[m.index] = m, other
	other.index, m.index = m.index, i
}

// add makes m a member, which has everything.
func (f *feed) add(m *member) {
	m.index = int32(len(f.places))
	f.places = append(f.places, m)
	m.base = -f.head()
	f.move(m, f.staying)
	f.staying++
	f.park(m)
}

// rejoin makes m, which has left and still reads, a member again.
func (f *feed) rejoin(m *member) {
	m.mu.Lock()
	m.cursor = f.log.End()
	m.mu.Unlock()
	m.base -= f.head() // it was what it was to get
	f.move(m, f.staying)
	f.staying++
	f.clear = 0 // it may be further behind than the others
}

// park notes that m, a member, has written everything: the next message finds
// it.
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

// idle reports whether m is parked and has nothing to be woken for.
func (f *feed) idle(m *member) bool { return f.due <= m.index && m.index < f.parked }

// published notes that a message was appended, before which at stands and the log
// has this weight: those that are parked are to be woken.
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

// rouse makes m, which is parked, active, with its cursor where it is to read.
// The caller tells its session, without the hub's mu.
func (f *feed) rouse(m *member) {
	if m.index < f.due {
		// Messages without weight, which are empty and go over a stream, are nothing
		// there: it does not matter if m finds some that it has read.
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

// remove moves m from the members to those that have left, and takes from it
// what is going to be published. It reports whether its session is to be told
// that there is something to read.
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
		f.places = slices.Clone(f.places) // who came and went leaves nothing
	}
	f.hub.ungate(m)
	m.index = -1
	f.trim()
	f.hub.dropFeed(f)
	f.hub.retire()
}

// trim lets the log go when nobody has anything to read in it.
func (f *feed) trim() {
	if f.due == 0 && int(f.parked) == len(f.places) {
		f.log.Drop()
	}
}
