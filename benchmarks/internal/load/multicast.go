package load

import (
	"context"
	"encoding/binary"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/report"
)

// runMulticast counts what arrives on each connection, or at each socket in the
// group.
func runMulticast(ctx context.Context, d *dialer) (*report.Report, error) {
	links, err := d.all(ctx)
	if err != nil {
		return nil, err
	}
	w := newWindow(d.Config)
	for _, l := range links {
		receive := counter(w)
		// Each client stops itself at the end of the run: under a flood, closing
		// a thousand clients from outside takes long.
		w.start(func() error {
			defer l.close()
			return l.receive(func(b []byte, _ bool) bool {
				receive(b)
				return !w.over.Load()
			})
		})
	}
	r := w.measure(ctx, links)
	if !d.Datagrams() && !d.Deflate {
		r.Messages = r.Bytes / int64(d.pattern.back.size)
	}
	return r, nil
}

// counter returns the function that counts what one client receives. The size of
// deflated messages is the server's library's, so their frames count.
func counter(w *window) func(b []byte) {
	t := w.tally()
	if w.config.Datagrams() {
		return (&sequence{window: w, tally: t}).receive
	}
	var frames frameCounter
	return func(b []byte) {
		n := 0
		if w.config.Deflate {
			n = frames.count(b)
		}
		if w.open.Load() {
			t.bytes.Add(int64(len(b)))
			t.messages.Add(int64(n))
		}
	}
}

// A sequence tracks the datagrams that one member receives. Our servers number
// them. CppServer's do not, so their losses are unknown.
type sequence struct {
	window *window
	tally  *tally

	began bool
	next  uint64 // number of the next expected datagram
	plain bool   // datagrams have no numbers
}

func (s *sequence) receive(datagram []byte) {
	if len(datagram) < bench.NumberSize {
		return
	}
	n := binary.BigEndian.Uint64(datagram)
	if s.began && n+1 == s.next && !s.plain { // the same twice: not a number
		s.plain = true
		s.tally.lost.Store(0)
	}
	if s.window.open.Load() {
		s.tally.bytes.Add(int64(len(datagram)))
		s.tally.messages.Add(1)
		switch {
		case s.plain || !s.began:
		case n > s.next:
			s.tally.lost.Add(int64(n - s.next))
		case n < s.next:
			s.tally.lost.Add(-1) // late: it was counted as lost
		}
	}
	s.next, s.began = max(s.next, n+1), true
}
