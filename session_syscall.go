package chanio

import (
	"errors"
	"syscall"
)

// SyscallConn returns the descriptor of the session's socket, for options and
// metrics that the library does not cover. Use only Control: Read and Write
// would disturb the session. For a session without its own socket (over a
// net.Conn that has none, or of a udp listener, whose peers share one) the
// error is errors.ErrUnsupported.
func (s *Session) SyscallConn() (syscall.RawConn, error) {
	if c, ok := s.tr.(interface {
		syscallConn() (syscall.RawConn, error)
	}); ok {
		rc, err := c.syscallConn()
		return rc, s.errorAt("syscall", err)
	}
	return nil, s.errorAt("syscall", errors.ErrUnsupported)
}

func (t *stream) syscallConn() (syscall.RawConn, error) {
	if c, ok := underTLS(t.conn).(syscall.Conn); ok {
		return c.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

func (t *dialed) syscallConn() (syscall.RawConn, error) { return t.conn.SyscallConn() }
