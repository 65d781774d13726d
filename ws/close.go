package ws

import (
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"example.com/chanio"
)

// A StatusCode says why a WebSocket was closed (RFC 6455, section 7.4).
type StatusCode = ws.StatusCode

// These are the codes that this package itself sends or reports. Programs may
// use 1000, 1001, 1003, 1008, 1011, and 3000 to 4999.
const (
	StatusNormal         = ws.StatusNormalClosure           // 1000
	StatusGoingAway      = ws.StatusGoingAway               // 1001: the server is shutting down, or the page was left
	StatusProtocolError  = ws.StatusProtocolError           // 1002
	StatusNoCode         = ws.StatusNoStatusRcvd            // 1005: the peer closed without a code; never sent
	StatusAbnormal       = ws.StatusAbnormalClosure         // 1006: the connection ended without a close; never sent
	StatusInvalidPayload = ws.StatusInvalidFramePayloadData // 1007: text that is not UTF-8
	StatusTooBig         = ws.StatusMessageTooBig           // 1009: more than MaxMessage
	StatusTryAgainLater  = StatusCode(1013)                 // no session was available in time
)

// A CloseError is in the Err of a session that was closed abnormally: with any
// code except 1000, 1001 and no code at all. Use errors.As.
type CloseError struct {
	Code   StatusCode
	Reason string
	// Sent says that this side closed because of what the peer did. If false,
	// the peer closed.
	Sent bool

	cause error // may be nil
}

func (e *CloseError) Error() string {
	who := "closed by the peer"
	if e.Sent {
		who = "closed"
	}
	if e.Reason == "" {
		return fmt.Sprintf("websocket %s: %d", who, e.Code)
	}
	return fmt.Sprintf("websocket %s: %d %s", who, e.Code, e.Reason)
}

// Unwrap returns the error of chanio or io for the code, if there is one:
// chanio.ErrMessageTooLarge for 1009, io.ErrUnexpectedEOF for 1006.
func (e *CloseError) Unwrap() error { return e.cause }

// normal reports whether a peer's close with e is a clean end.
func (e *CloseError) normal() bool {
	switch e.Code {
	case StatusNormal, StatusGoingAway, StatusNoCode:
		return true
	}
	return false
}

// CloseWith is [chanio.Session.Close] with a code and a reason instead of 1000.
// What was accepted before is sent first. The first code counts. If s is not a
// WebSocket session, if code must not be sent, or if reason is not UTF-8 of at
// most 123 bytes, CloseWith returns an error and closes nothing.
func CloseWith(s *chanio.Session, code StatusCode, reason string) error {
	r := readerOf(s)
	if r == nil {
		return errNoWebSocket
	}
	if len(reason) > maxControl-2 || !utf8.ValidString(reason) {
		return fmt.Errorf("chanio: websocket: close reason of %d bytes must be UTF-8 of at most %d", len(reason), maxControl-2)
	}
	if err := ws.CheckCloseFrameData(code, reason); err != nil {
		return fmt.Errorf("chanio: websocket: close code %d: %w", code, err)
	}
	r.closeWith(&CloseError{Code: code, Reason: reason})
	return s.Close()
}

// PeerClose returns the close that the peer sent, and whether it has sent one.
// Code is StatusNoCode if it came without a code.
func PeerClose(s *chanio.Session) (CloseError, bool) {
	if r := readerOf(s); r != nil {
		if e := r.peer.Load(); e != nil {
			return *e, true
		}
	}
	return CloseError{}, false
}

var errNoWebSocket = errors.New("chanio: websocket: the session is not a WebSocket's")

// parseClose parses the payload of a close frame.
func parseClose(payload []byte) (*CloseError, error) {
	switch len(payload) {
	case 0:
		return &CloseError{Code: StatusNoCode}, nil
	case 1:
		return nil, violation("a close payload of 1 byte")
	}
	code, reason := ws.ParseCloseFrameData(payload)
	switch err := ws.CheckCloseFrameData(code, reason); {
	case err == ws.ErrProtocolInvalidUTF8:
		return nil, &CloseError{Code: StatusInvalidPayload, Reason: "a close reason that is not UTF-8", Sent: true}
	case err != nil && !lateCode(code):
		return nil, violation(fmt.Sprintf("close code %d must not be sent", code))
	}
	return &CloseError{Code: code, Reason: reason}, nil
}

// lateCode reports whether code was registered after RFC 6455: 1012 to 1014
// (IANA's WebSocket Close Code Number Registry).
func lateCode(code StatusCode) bool { return code >= 1012 && code <= 1014 }

// violation returns the error for a peer that broke the protocol. Like tooBig, it
// stays out of the stack of a reader with a good peer: see parseHeader.
//
//go:noinline
func violation(what string) error {
	return &CloseError{Code: StatusProtocolError, Reason: what, Sent: true}
}

// tooBig returns the error for a message over the limit.
//
//go:noinline
func tooBig(limit int) error {
	return &CloseError{
		Code: StatusTooBig, Reason: fmt.Sprintf("a message of more than %d bytes", limit),
		Sent: true, cause: chanio.ErrMessageTooLarge,
	}
}

// abnormal returns the error for a connection that ended without a close.
func abnormal() error {
	return &CloseError{Code: StatusAbnormal, cause: io.ErrUnexpectedEOF}
}
