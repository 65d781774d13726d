package chanio

// wakeAtOnce is how many parked members a publisher wakes itself. Waking takes
// some 300 ns per member, so a room of twenty thousand would hold the publisher
// for milliseconds. A goroutine of the hub wakes the others.
const wakeAtOnce = 32

// wakeAndUnlock tells the sessions of due members of the frames' feeds, and that of
// m unless it is nil, and leaves the rest to the waker. The caller holds mu, which it
// releases.
func (h *Hub) wakeAndUnlock(frames []frame, m *member) {
	due := m != nil
	for i := range frames {
		due = due || frames[i].feed.due > 0
	}
	if !due { // no member has waited: they are behind, or there are none
		h.mu.Unlock()
		return
	}
	h.wakeSome(frames, m)
}

// wakeSome is wakeAndUnlock where there are members to tell. It is separate to keep
// its array out of every publication.
func (h *Hub) wakeSome(frames []frame, m *member) {
	var few [wakeAtOnce]*member // saves most rooms an allocation
	woken := few[:0]
	if m != nil {
		woken = append(woken, m)
	}
	for i := range frames {
		woken = h.wake(woken, frames[i].feed)
	}
	h.mu.Unlock()
	for _, m := range woken {
		m.s.memberReady(m)
	}
}

// wake appends to dst the first due members of f, whose sessions the caller
// tells without holding mu, and leaves the others to the waker. The caller
// holds mu.
func (h *Hub) wake(dst []*member, f *feed) []*member {
	for f.due > 0 && len(dst) < cap(dst) {
		m := f.places[f.due-1]
		f.rouse(m)
		dst = append(dst, m)
	}
	if f.due == 0 {
		return dst
	}
	if w := h.hubWaits(); w.waker == nil {
		w.waker = make(chan struct{})
		go h.runWaker(w.waker)
	}
	return dst
}

// runWaker wakes members until none is due. wake starts it, one at a time. It
// closes done when it ends; finish waits for that.
func (h *Hub) runWaker(done chan struct{}) {
	defer close(done)
	var some [2 * wakeAtOnce]*member
	for {
		woken := some[:0]
		h.mu.Lock()
		for f := range h.feeds {
			for f.due > 0 && len(woken) < cap(woken) {
				m := f.places[f.due-1]
				f.rouse(m)
				woken = append(woken, m)
			}
		}
		if len(woken) == 0 {
			h.waits.waker = nil
			h.mu.Unlock()
			return
		}
		h.mu.Unlock()
		for _, m := range woken {
			m.s.memberReady(m)
		}
	}
}
