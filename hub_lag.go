package chanio

import (
	"cmp"
	"slices"
	"time"

	"example.com/chanio/internal/sharedlog"
)

// A lagger is a member that was too far behind, and how it was treated.
type lagger struct {
	m       *member
	events  []Event // queued, still to be reported
	skipped int64   // LagDrop: messages that it will not get
	err     error   // otherwise: the error that ends its session
}

// makeRoom ensures that publishing frames puts no member more than MaxLag
// behind, as the policy says, and returns the members it treated. except, which may
// be nil, does not get them. The caller holds mu, which makeRoom releases while it
// waits.
func (h *Hub) makeRoom(frames []frame, except *Session) (treated []lagger) {
	patient := h.lag == LagDisconnect
	for !h.stopped && h.crowded(frames) {
		apart := h.apart(except)
		late, left := h.late(frames, apart), h.hoarders()
		if len(late)+len(left) == 0 {
			break
		}
		switch {
		case h.lag == LagBlock:
			h.await(late, left, apart)
			continue
		case patient && len(late) > 0 && h.outrun():
			patient = h.awaitMost(late)
			continue
		}
		spared := 0
		for _, l := range late {
			if h.spares(l.m) {
				spared++
			} else {
				treated = append(treated, h.treat(l.m))
			}
		}
		if spared == len(late) && len(left) == 0 {
			h.awaitMost(late)
			continue
		}
		for _, m := range left {
			if h.tooMuchKept(m.feed) && !m.gone() {
				treated = append(treated, h.treat(m))
			}
		}
	}
	return treated
}

// crowded reports whether publishing frames may put a member too far behind. The
// caller holds mu.
func (h *Hub) crowded(frames []frame) bool {
	for i := range frames {
		f := frames[i].feed
		if f.staying > 0 && f.head()+frames[i].weight() > f.clear || h.tooMuchKept(f) {
			return true
		}
	}
	return false
}

// A latecomer is a member that a message would put more than MaxLag behind.
type latecomer struct {
	m    *member
	need int64 // what it must have taken for that not to happen
}

// late returns the members that frames would put more than MaxLag behind; apart,
// which does not get them, and a member that has taken everything are never among
// them. For feeds without such members it records how much more can be published
// before it must check again. The caller holds mu.
func (h *Hub) late(frames []frame, apart *member) (late []latecomer) {
	for i := range frames {
		f, n := frames[i].feed, frames[i].weight()
		most, before := int64(0), len(late)
		for i, m := range f.places[:f.staying] {
			if f.due <= int32(i) && int32(i) < f.parked {
				continue
			}
			lag := m.lag()
			if lag <= 0 {
				continue // only a write is in progress
			}
			if lag+n > h.maxLag && m != apart {
				late = append(late, latecomer{m, m.aim() + n - h.maxLag})
			} else {
				most = max(most, lag)
			}
		}
		if len(late) == before {
			f.clear = f.head() + h.maxLag - most
		}
	}
	return late
}

// tooMuchKept reports whether what f keeps for members that left, or left and
// rejoined, exceeds MaxLag plus a segment and what it was when each of them
// held at most one segment, which every member may have in hand. The caller
// holds mu.
func (h *Hub) tooMuchKept(f *feed) bool {
	kept := f.log.Kept()
	if most := h.maxLag + sharedlog.MaxSegment; kept <= most {
		f.mayKeep = most
	}
	return kept > f.mayKeep
}

// hoarders returns the members that must go for their feeds to keep no more
// than allowed, those that hold most first. The caller holds mu.
func (h *Hub) hoarders() (hoarders []*member) {
	type holder struct {
		m        *member
		segments int
	}
	for f := range h.feeds {
		if !h.tooMuchKept(f) {
			continue
		}
		var holders []holder
		for _, m := range f.places[f.parked:] {
			if segments, _ := m.parted(); segments > 1 {
				holders = append(holders, holder{m, segments})
			}
		}
		if len(holders) == 0 {
			f.mayKeep = f.log.Kept()
		}
		slices.SortFunc(holders, func(a, b holder) int { return cmp.Compare(b.segments, a.segments) })
		over := f.log.Kept() - h.maxLag
		for _, l := range holders {
			if over <= 0 {
				break
			}
			over -= int64(l.segments) * sharedlog.MaxSegment
			hoarders = append(hoarders, l.m)
		}
	}
	return hoarders
}

// outrun reports whether publishers are ahead of the members, so that lagging
// is no member's fault: the best one is more than MaxLag/2 behind or, if
// WriteTimeout bounds the wait, fewer than three quarters keep up. In a burst
// members are served in turn, and the first may have everything while the last
// still has MaxLag to go. The caller holds mu.
func (h *Hub) outrun() bool { return h.missing() > 0 }

// missing returns how many more members would have to keep up for publishers
// not to be ahead of them. The caller holds mu.
func (h *Hub) missing() int {
	enough, most := 1, h.maxLag/2
	if h.writeTimeout > 0 {
		enough, most = max(1, h.size()*3/4), h.keepsUp()
	}
	for f := range h.feeds {
		enough -= int(f.parked - f.due)
		for i, m := range f.places[:f.staying] {
			if (int32(i) < f.due || int32(i) >= f.parked) && m.lag() <= most {
				enough--
			}
		}
	}
	return enough
}

// spares reports whether publishers wait for m, which is late although others
// keep up. A healthy member may not have had its turn yet, so it gets a moment:
// it is spared while it makes progress, until it has been late for a while. It
// stays late until it has taken everything published before it became late. The
// caller holds mu.
func (h *Hub) spares(m *member) bool {
	if h.lag != LagDisconnect || h.writeTimeout <= 0 {
		return false
	}
	w, now := m.waiting(), time.Now()
	if m.taken.Load() >= w.lateUntil {
		w.lateUntil, w.late = m.aim(), now
	}
	return now.Sub(w.late) < h.writeTimeout/graces && m.s.stalled() < h.writeTimeout/moments
}

// keepsUp returns how far behind a member that keeps up may be.
func (h *Hub) keepsUp() int64 { return h.maxLag / 16 }

// treat applies LagDisconnect or LagDrop to m. The caller holds mu.
func (h *Hub) treat(m *member) lagger {
	if h.lag != LagDrop {
		return h.dismiss(m, ErrLagged)
	}
	tell := false
	if m.index < m.feed.parked {
		m.feed.rouse(m)
		tell = true
	}
	l := lagger{m: m}
	end := sharedlog.Cursor{}
	if !m.left() {
		end = m.feed.log.End()
	}
	var bytes int64
	l.skipped, bytes = m.skip(end)
	h.counts.dropped += l.skipped
	h.counts.owed -= bytes
	m.s.stats.messagesDropped.Add(l.skipped) // here, before m's session can be added to the totals
	// It may have taken everything meanwhile.
	if l.skipped > 0 {
		l.events = []Event{h.events.queue(Event{Kind: EventLagged, Session: m.s, Count: int(l.skipped)})}
	}
	if tell {
		m.s.memberReady(m)
	}
	return l
}

// dismiss evicts m, whose session is about to end with err because it lags. The
// caller holds mu.
func (h *Hub) dismiss(m *member, err error) lagger {
	m.s.hubs.lagged.Store(true) // before it is no longer gated, and before it has nothing to write
	err = m.s.errorAt("multicast", err)
	events := []Event{h.events.queue(Event{Kind: EventLagged, Session: m.s, Err: err})}
	return lagger{m: m, err: err, events: append(events, h.evicted(m, err)...)}
}

// report ends the sessions of dismissed members and emits the reports. The
// caller must not hold mu.
func (h *Hub) report(treated []lagger) {
	endDismissed(treated)
	h.tell(treated)
}

// endDismissed ends the sessions of dismissed members without waiting, since
// closing a connection may take a while.
func endDismissed(treated []lagger) {
	for _, l := range treated {
		if l.err != nil {
			l.m.s.dropPlace(l.m)
			l.m.s.endLagged(l.err)
		}
	}
}

// tell logs how members were treated. A Logger may take a while, so everything
// that must be done is done before.
func (h *Hub) tell(treated []lagger) {
	for _, l := range treated {
		h.events.report(l.events...)
	}
}
