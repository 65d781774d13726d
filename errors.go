package chanio

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// These errors are for errors.Is. Each arrives wrapped in an error that says
// where it happened.
var (
	// ErrClosed is returned by calls on something that has ended or been
	// closed. It is the Err of a session that was ended by its owner or by
	// Abort(nil). It is also net.ErrClosed.
	ErrClosed error = closedError{}
	// ErrLagged is the Err of a session that a hub ended for falling more than
	// MaxLag behind.
	ErrLagged = errors.New("chanio: too far behind its hub")
	// ErrMessageTooLarge is the Err of a session whose peer sent a message
	// larger than MaxMessage. It is returned for a message that does not fit a
	// hub's MaxLag, a framing's length field or a datagram.
	ErrMessageTooLarge = errors.New("chanio: message too large")
	// ErrFull is returned by [Service.Post] when PostQueue functions are
	// waiting.
	ErrFull = errors.New("chanio: queue full")
	// ErrShutdown is the cause passed to a [FrameReader] when its session ends
	// while the listener or client shuts down. It is never a session's Err.
	ErrShutdown = errors.New("chanio: shutting down")
	// ErrTooManySessions is the Err of a udp session that made room for another
	// beyond MaxSessions, and of the [EventFailed] for a connection beyond
	// MaxSessionsPerAddr.
	ErrTooManySessions = errors.New("chanio: too many sessions")
)

// closedError is the type of ErrClosed. It has the library's own text and
// matches net.ErrClosed.
type closedError struct{}

func (closedError) Error() string        { return "chanio: closed" }
func (closedError) Is(target error) bool { return target == net.ErrClosed }

// timeoutError is a timeout of a session. It is os.ErrDeadlineExceeded and a
// net.Error whose Timeout method returns true.
type timeoutError struct {
	what  string // the Options field
	after time.Duration
}

func (e *timeoutError) Error() string        { return fmt.Sprintf("%s of %v exceeded", e.what, e.after) }
func (e *timeoutError) Timeout() bool        { return true }
func (e *timeoutError) Temporary() bool      { return true }
func (e *timeoutError) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// opError is a network error: a *net.OpError, which says what failed and where,
// under the library's name.
type opError struct{ *net.OpError }

// Error puts the library's name first, and only there.
func (e *opError) Error() string {
	return "chanio: " + strings.ReplaceAll(e.OpError.Error(), "chanio: ", "")
}

func (e *opError) Unwrap() error { return e.OpError }

var _ net.Error = (*opError)(nil)

// wrapOp says that op failed with err between local and remote, either of which
// may be nil. It returns nil for nil, and errors that already say so unchanged.
// A *net.OpError of crypto/tls ("remote error") has no network and does not.
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

// renamed returns e with op as its operation if e's own is internal to package
// net.
func renamed(e *net.OpError, op string) *net.OpError {
	switch e.Op {
	case "raw-read", "raw-write", "writev", "wsasend":
		own := *e
		own.Op = op
		return &own
	}
	return e
}
