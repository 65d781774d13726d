//go:build unix

package sock

// Drain discards waiting input, up to limit bytes. A kernel that closes a
// socket with unread input resets the connection, and what was written may be
// lost with it (RFC 9293, section 3.10.4).
func (s *Socket) Drain(limit int) {
	var block [16 << 10]byte
	s.rc.Control(func(fd uintptr) {
		for limit > 0 {
			n, err := IgnoreEINTR(func() (int, error) { return RecvNow(int(fd), block[:]) })
			if n <= 0 || err != nil {
				return
			}
			limit -= n
		}
	})
}
