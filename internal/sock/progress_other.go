//go:build !linux

package sock

// Progress does not know: a write shows its progress by looking at it now and
// then (see writer_other.go).
func (s *Socket) Progress() (p Progress) { return p }

// End does not know: the peer's end is seen when its input was received.
func (s *Socket) End() (e End) { return e }

// Acknowledges reports whether Progress tells of what the kernel has taken and
// the peer has not.
func (s *Socket) Acknowledges() bool { return false }
