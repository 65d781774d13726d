//go:build !linux

package sock

// Progress returns an unknown Progress. A write checks its own progress now and
// then instead (see writer_other.go).
func (s *Socket) Progress() (p Progress) { return p }

// End returns the zero End: the peer's end is seen only once its input was
// received.
func (s *Socket) End() (e End) { return e }

// Acknowledges reports whether Progress covers what the kernel has taken but the
// peer has not.
func (s *Socket) Acknowledges() bool { return false }
