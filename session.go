package chanio

import (
	"net"
	"strconv"
)

// ID names a session; it is unique in the process and never used again.
type ID uint64

// String returns the form of the ID that logs show.
func (id ID) String() string { return "s" + strconv.FormatUint(uint64(id), 10) }

// Session is one connection.
type Session struct {
	id     ID
	remote net.Addr
}

// ID returns the session's ID.
func (s *Session) ID() ID { return s.id }

// RemoteAddr returns the peer's address.
func (s *Session) RemoteAddr() net.Addr { return s.remote }
