// Package readable tells when a socket has something to read, without reading
// it.
package readable

import "syscall"

// Await waits until a stream socket has something to read: data, its end, or an
// error, which the next read returns. It returns an error when the socket is
// closed, or its read deadline passes, before that.
func Await(rc syscall.RawConn) error { return wait(rc) }

// Now reports whether Await would return at once. If the system cannot tell, it
// returns false.
func Now(rc syscall.RawConn) bool { return now(rc) }
