package ws

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"example.com/chanio"
)

// Options configures a [Handler], [Dial] and [Connect]; nil means the defaults.
// It is not modified after the call and may be shared.
type Options struct {
	// Chanio configures the sessions and the listener or client: queues,
	// timeouts, MaxMessage, MaxSessions, Lag and so on. Its Framing must be
	// nil. TLS is for Dial and Connect to a wss URL; a Handler's TLS is the
	// http.Server's. HandshakeTimeout bounds how long a Handler writes its
	// answer and waits for a place among the listener's sessions, and
	// MaxHandshakes how many do so at once. If nil, the defaults.
	Chanio *chanio.Options
	// Text sends messages as text, which must be UTF-8. If false, messages are
	// binary. Both kinds are received, and received text is checked.
	Text bool
	// Subprotocols lists the subprotocols that this side speaks. A Handler
	// takes the first that the client names and that is in the list. A client
	// offers them in this order. If there is no match, the session has no
	// subprotocol.
	Subprotocols []string
	// Origins lists the web pages, in addition to those of the Handler's own
	// host, whose scripts a Handler lets in: an origin ("https://example.com"),
	// a host ("example.com:8080"), a host pattern for path.Match
	// ("*.example.com"), or "*" for all. Clients other than browsers send no
	// origin and are let in.
	Origins []string
	// Compression enables permessage-deflate without context takeover. If nil,
	// it is neither offered nor accepted.
	Compression *Compression
	// PingInterval is how long nothing may be received from the peer before it
	// is sent a ping. Pings also keep proxies from cutting an idle connection.
	// If zero, 30 seconds; if negative, no pings are sent.
	PingInterval time.Duration
	// PongTimeout is how long after a ping something must be received.
	// Otherwise the session ends with an error that is os.ErrDeadlineExceeded.
	// If zero, 30 seconds; if negative, pings only keep the connection open.
	PongTimeout time.Duration
	// Header is added to a Handler's answer or a client's request.
	Header http.Header
}

// Compression configures permessage-deflate.
type Compression struct {
	// Threshold is the size in bytes from which messages are compressed. If
	// zero, 128, below which compression costs more than it saves. If negative,
	// compression is tried on all messages. A message that would grow is sent
	// uncompressed.
	Threshold int
}

const (
	defaultThreshold    = 128
	defaultPingInterval = 30 * time.Second
	defaultPongTimeout  = 30 * time.Second
	defaultHandshake    = 10 * time.Second // chanio's HandshakeTimeout
	defaultHandshakes   = 1024             // and MaxHandshakes
)

// settings are checked Options with defaults filled in.
type settings struct {
	Options
	chanio chanio.Options
	plain  framing // of sessions without compression
}

func (o *Options) resolve(client bool) (*settings, error) {
	if o == nil {
		o = new(Options)
	}
	set := &settings{Options: *o}
	if o.Chanio != nil {
		set.chanio = *o.Chanio
	}
	set.plain = framing{client: client, text: o.Text}
	switch {
	case set.chanio.Framing != nil:
		return nil, errors.New("chanio: websocket: option Chanio.Framing must be nil: the framing is WebSocket's")
	case set.chanio.PingInterval != 0 || set.chanio.PingTimeout != 0:
		return nil, errors.New("chanio: websocket: options Chanio.PingInterval and PingTimeout must be zero: use PingInterval and PongTimeout")
	case !client && set.chanio.TLS != nil:
		return nil, errors.New("chanio: websocket: option Chanio.TLS is not a Handler's: TLS is the http.Server's")
	}
	for _, p := range o.Subprotocols {
		if !isToken(p) {
			return nil, fmt.Errorf("chanio: websocket: option Subprotocols: %q is not a token", p)
		}
	}
	for _, p := range o.Origins {
		if _, err := path.Match(p, ""); err != nil {
			return nil, fmt.Errorf("chanio: websocket: option Origins: %q: %w", p, err)
		}
	}
	set.chanio.Framing = set.plain
	set.chanio.PingInterval = orDefault(o.PingInterval, defaultPingInterval)
	set.chanio.PingTimeout = o.PongTimeout
	if o.PongTimeout == 0 {
		set.chanio.PingTimeout = defaultPongTimeout
	}
	return set, nil
}

// agreed returns the framing of sessions with or without compression.
func (set *settings) agreed(deflate bool) framing {
	f := set.plain
	if !deflate {
		return f
	}
	f.deflate, f.threshold = true, set.Compression.Threshold
	switch {
	case f.threshold == 0:
		f.threshold = defaultThreshold
	case f.threshold < 0:
		f.threshold = 0
	}
	return f
}

// speaks reports whether protocol is one of the subprotocols.
func (set *settings) speaks(protocol string) bool {
	return slices.Contains(set.Subprotocols, protocol)
}

// isToken reports whether s is an HTTP token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// Request returns the request with which an accepted session began: its path,
// headers and cookies, and the values of its context. Its Body is empty.
// Request returns nil for a session that was dialed or is not a WebSocket
// session.
func Request(s *chanio.Session) *http.Request {
	if r := readerOf(s); r != nil {
		return r.request
	}
	return nil
}

// Subprotocol returns the negotiated subprotocol; "" means none.
func Subprotocol(s *chanio.Session) string {
	if r := readerOf(s); r != nil {
		return r.subprotocol
	}
	return ""
}

// keptRequest returns what is kept of r for as long as the session lives: neither its
// body nor its cancellation, which is over when the handler returns.
func keptRequest(r *http.Request) *http.Request {
	kept := r.WithContext(context.WithoutCancel(r.Context()))
	kept.Body = http.NoBody
	kept.Header = make(http.Header)
	for name, values := range r.Header {
		switch name {
		case "Connection", "Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions":
		default:
			kept.Header[name] = slices.Clone(values) // all values of r share memory
		}
	}
	return kept
}

// compressed reports whether a handshake negotiated compression.
func compressed(hs ws.Handshake) bool { return len(hs.Extensions) > 0 }
