package chanio

import "slices"

// A hubWatch is a call of Watch.
type hubWatch struct{ changed chan<- struct{} }

// Watch sends on changed, without blocking, each time Len changes, until stop
// is called or the hub has ended. With a buffer of one, a waiting value says
// that there is something to look at, so nothing is missed, whereas events can
// be lost. Several hubs may share one channel. The hub never closes it.
func (h *Hub) Watch(changed chan<- struct{}) (stop func()) {
	watch := &hubWatch{changed}
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.hubWaits()
	w.watches = append(w.watches, watch)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if i := slices.Index(w.watches, watch); i >= 0 {
			w.watches = slices.Delete(w.watches, i, i+1)
		}
	}
}

// lenChanged tells those that watch. The caller holds mu.
func (h *Hub) lenChanged() {
	if h.waits == nil {
		return
	}
	for _, w := range h.waits.watches {
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

// JoinAfter moves s from prior to h: s leaves prior and gets what h multicasts
// after JoinAfter has returned, but only after everything that prior multicast
// before. (Otherwise there is no order between two hubs.) It serves a session
// that first gets a history of its own and then joins the others. Its errors
// are Join's.
func (h *Hub) JoinAfter(s *Session, prior *Hub) error {
	if s == nil {
		return h.joinAfter(s, nil)
	}
	prior.Leave(s)
	return h.joinAfter(s, s.owedBy(prior))
}
