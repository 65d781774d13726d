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
	// timeouts, MaxMessage, MaxSessions, Lag and so on. Its Framing must be nil.
	// TLS is for Dial and Connect to a wss URL; a Handler's TLS is the
	// http.Server's. HandshakeTimeout bounds how long a Handler writes its
	// answer and waits for a place among the listener's sessions, and
	// MaxHandshakes how many do at once. If nil, the defaults.
	Chanio *chanio.Options
	// Text sends messages as text, which must be UTF-8. If false, as binary.
	// Both kinds are received, and text is checked.
	Text bool
	// Subprotocols are those that this side speaks: a Handler takes the first
	// that the client names of them, a client offers them in this order. If a
	// Handler takes none the session goes on without.
	Subprotocols []string
	// Origins are the web pages besides those of its own host whose scripts a
	// Handler lets in: an origin ("https://example.com"), a host
	// ("example.com:8080"), a pattern of hosts as path.Match has them
	// ("*.example.com"), or "*" for all. Clients that are no browsers send no
	// origin and are let in.
	Origins []string
	// Compression asks for permessage-deflate without context takeover. If nil,
	// it is neither offered nor accepted.
	Compression *Compression
	// PingInterval is how long nothing may come from the peer before it is sent
	// a ping, which also keeps proxies from cutting an idle connection. If
	// zero, 30 seconds; if negative, none is sent.
	PingInterval time.Duration
	// PongTimeout is how long after a ping something must come, or the session
	// ends with an error that is os.ErrDeadlineExceeded. If zero, 30 seconds;
	// if negative, a ping only keeps the connection open.
	PongTimeout time.Duration
	// Header is added to a Handler's answer, or to the request of a client.
	Header http.Header
}

// Compression configures permessage-deflate.
type Compression struct {
	// Threshold is the size in bytes from which messages are compressed. If
	// zero, 128: below, it costs more than it saves; if negative, all are
	// tried. What compression would make longer is sent as it is.
	Threshold int
}

const (
	defaultThreshold    = 128
	defaultPingInterval = 30 * time.Second
	defaultPongTimeout  = 30 * time.Second
	defaultHandshake    = 10 * time.Second // chanio's HandshakeTimeout
	defaultHandshakes   = 1024             // and MaxHandshakes
)

// settings are Options that were checked, with their defaults.
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

// agreed returns the framing of sessions that agreed on compression, or not.
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

// isToken reports whether s is a token of HTTP (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// Request returns the request that an accepted session began with: its path,
// headers and cookies, and the values of its context. Body is empty. It is nil
// for a session that was dialed, and for one that is no WebSocket's.
func Request(s *chanio.Session) *http.Request {
	if r := readerOf(s); r != nil {
		return r.request
	}
	return nil
}

// Subprotocol returns the subprotocol that both sides agreed on; "" is none.
func Subprotocol(s *chanio.Session) string {
	if r := readerOf(s); r != nil {
		return r.subprotocol
	}
	return ""
}

// keptRequest returns what is kept of r: neither its body nor its
// cancellation, which is over when the handler returns.
func keptRequest(r *http.Request) *http.Request {
	kept := r.WithContext(context.WithoutCancel(r.Context()))
	kept.Body = http.NoBody
	return kept
}

// compressed reports whether a handshake has agreed on compression.
func compressed(hs ws.Handshake) bool { return len(hs.Extensions) > 0 }
