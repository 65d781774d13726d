package chanio

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// The errors that calls and Err answer errors.Is with. Each arrives wrapped in
// what says where it happened.
var (
	// ErrClosed is returned by calls on what has ended or been closed, and is
	// the Err of a session that its owner or Abort(nil) ended. It is also
	// net.ErrClosed.
	ErrClosed error = closedError{}
	// ErrLagged is the Err of a session that a hub ended for being more than
	// MaxLag behind.
	ErrLagged = errors.New("chanio: too far behind its hub")
	// ErrMessageTooLarge is the Err of a session whose peer sent a message
	// larger than MaxMessage, and is returned for a message that a hub's
	// MaxLag, a framing's length field or a datagram cannot hold.
	ErrMessageTooLarge = errors.New("chanio: message too large")
	// ErrFull is returned by [Service.Post] past PostQueue.
	ErrFull = errors.New("chanio: queue full")
	// ErrShutdown is what a [FrameReader] is told as the cause of an end while
	// the listener or client of its session shuts down. It is no session's Err.
	ErrShutdown = errors.New("chanio: shutting down")
	// ErrTooManySessions is the Err of a udp session that made room for
	// another past MaxSessions.
	ErrTooManySessions = errors.New("chanio: too many sessions")
)

// closedError is the type of ErrClosed: the library's own text, and equal to
// net.ErrClosed for those who know only that.
type closedError struct{}

func (closedError) Error() string        { return "chanio: closed" }
func (closedError) Is(target error) bool { return target == net.ErrClosed }

// timeoutError is a timeout of a session. It is os.ErrDeadlineExceeded and a
// net.Error whose Timeout is true.
type timeoutError struct {
	what  string // which Options field ran out
	after time.Duration
}

func (e *timeoutError) Error() string        { return fmt.Sprintf("%s of %v exceeded", e.what, e.after) }
func (e *timeoutError) Timeout() bool        { return true }
func (e *timeoutError) Temporary() bool      { return true }
func (e *timeoutError) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// opError is an error of the network: a *net.OpError, which says what failed
// and where, under the library's name.
type opError struct{ *net.OpError }

// Error puts the library's name first, and only there.
func (e *opError) Error() string {
	return "chanio: " + strings.ReplaceAll(e.OpError.Error(), "chanio: ", "")
}

func (e *opError) Unwrap() error { return e.OpError }

var _ net.Error = (*opError)(nil)

// wrapOp says that op failed with err between local and remote, either of
// which may be nil. It returns nil for nil, and an error that says so already
// as it is; a *net.OpError of crypto/tls ("remote error") has no network and
// does not.
func wrapOp(op, network string, local, remote net.Addr, err error) error {
	switch e := err.(type) {
	case nil:
		return nil
	case *opError:
		return err
	case *net.OpError:
		if e.Net != "" {
			return &opError{renamed(e, op)}
		}
	}
	return &opError{&net.OpError{Op: op, Net: network, Source: local, Addr: remote, Err: err}}
}

// renamed returns e as one of op, if e's own name is one that only net knows.
func renamed(e *net.OpError, op string) *net.OpError {
	switch e.Op {
	case "raw-read", "raw-write", "writev", "wsasend":
		own := *e
		own.Op = op
		return &own
	}
	return e
}
