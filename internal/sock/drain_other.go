//go:build !unix

package sock

// Drain can't read without waiting here.
func (s *Socket) Drain(int) {}
