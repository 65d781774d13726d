//go:build !unix && !windows

package sock

// Drain does nothing: non-blocking reads are not available here.
func (s *Socket) Drain(int) {}
