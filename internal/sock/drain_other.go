//go:build !unix

package sock

// Drain does nothing: non-blocking reads are not available here.
func (s *Socket) Drain(int) {}
