package ws

import (
	"bufio"
	"context"
	"encoding/base64"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"example.com/chanio"
)

// A Handler is an http.Handler that turns WebSocket requests into sessions of
// its [Handler.Listener]. It is safe for concurrent use.
//
// It works with an HTTP/1.1 server, with or without TLS. Over HTTP/2, which
// browsers do not use for WebSockets unless the server offers it, the answer is
// 400. Connections that have not sent their whole request belong to the
// http.Server: its ReadHeaderTimeout bounds them.
type Handler struct {
	set      *settings // nil if the options are invalid
	listener *chanio.Listener
	upgrades *upgrades
}

// NewHandler returns a handler whose listener lives until ctx ends. Invalid
// options yield a handler whose listener has already ended with that Err.
func NewHandler(ctx context.Context, o *Options) *Handler {
	set, err := o.resolve(false)
	if err != nil {
		ended, cancel := context.WithCancelCause(ctx)
		cancel(err)
		up := newUpgrades(1, 0)
		return &Handler{listener: chanio.Serve(ended, up, nil), upgrades: up}
	}
	timeout, places := set.chanio.HandshakeTimeout, set.chanio.MaxHandshakes
	if timeout == 0 {
		timeout = defaultHandshake
	}
	if places == 0 {
		places = defaultHandshakes
	}
	up := newUpgrades(places, timeout)
	return &Handler{set: set, listener: chanio.Serve(ctx, up, &set.chanio), upgrades: up}
}

// Listener returns the listener of the handler's sessions. Sessions, Events,
// Hub, Shutdown and everything else work as for any listener, except Restart,
// which is not supported. Its Addr is a placeholder; a session's addresses are
// its connection's. Once the listener has ended, and while MaxSessions are
// live, the handler answers 503.
func (h *Handler) Listener() *chanio.Listener { return h.listener }

// ServeHTTP answers a request with an upgrade, or with a status that says why
// not.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if status, why := h.refusal(r); status != 0 {
		if status == http.StatusUpgradeRequired {
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Sec-WebSocket-Version", "13")
		}
		http.Error(w, why, status)
		return
	}
	if !h.upgrades.enter() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "WebSocket: no room for another session", http.StatusServiceUnavailable)
		return
	}
	defer h.upgrades.leave()
	conn, buffered, hs, err := h.upgrade(w, r)
	if err != nil {
		if conn != nil {
			conn.Close()
		}
		return // the client already has its answer
	}
	f := h.set.agreed(compressed(hs))
	h.upgrades.deliver(&chanio.Handover{
		Conn:     conn,
		Buffered: buffered,
		Framing:  f,
		Reader:   &reader{framing: f, request: keptRequest(r), subprotocol: hs.Protocol},
	})
}

// refusal returns the status and the reason for refusing a request, or 0.
func (h *Handler) refusal(r *http.Request) (status int, why string) {
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	switch {
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return http.StatusBadRequest, "WebSocket: only over HTTP/1.1, not " + r.Proto
	case r.Method != http.MethodGet:
		return http.StatusMethodNotAllowed, "WebSocket: the method must be GET"
	case !hasToken(r.Header["Upgrade"], "websocket") || !hasToken(r.Header["Connection"], "upgrade"):
		return http.StatusUpgradeRequired, "WebSocket: the request does not ask for an upgrade"
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return http.StatusUpgradeRequired, "WebSocket: only version 13"
	case err != nil || len(key) != 16:
		return http.StatusBadRequest, "WebSocket: Sec-WebSocket-Key must be 16 bytes in base64"
	case h.set == nil:
		return http.StatusServiceUnavailable, "WebSocket: the server is misconfigured"
	case !h.set.allows(r):
		return http.StatusForbidden, "WebSocket: scripts of this origin are not allowed"
	case h.set.chanio.MaxSessions > 0 && h.listener.Len() >= h.set.chanio.MaxSessions:
		return http.StatusServiceUnavailable, "WebSocket: no room for another session"
	}
	return 0, ""
}

// hasToken reports whether one of the comma-separated values is token.
func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// allows reports whether the request's page may open a WebSocket.
func (set *settings) allows(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return len(r.Header["Origin"]) == 0
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	if u.Host != "" && strings.EqualFold(u.Host, r.Host) {
		return true
	}
	return slices.ContainsFunc(set.Origins, func(allowed string) bool {
		if allowed == "*" || strings.EqualFold(allowed, origin) {
			return true
		}
		match, _ := path.Match(strings.ToLower(allowed), strings.ToLower(u.Host)) // resolve checked the pattern
		return match && u.Host != ""
	})
}

// upgrade answers with an upgrade. It returns the connection and what the
// server has already read from it.
func (h *Handler) upgrade(w http.ResponseWriter, r *http.Request) (net.Conn, []byte, ws.Handshake, error) {
	u := ws.HTTPUpgrader{Timeout: h.upgrades.timeout, Header: h.set.Header}
	if len(h.set.Subprotocols) > 0 {
		u.Protocol = h.set.speaks
	}
	if h.set.Compression != nil {
		u.Negotiate = negotiate()
	}
	conn, rw, hs, err := u.Upgrade(plainly(r), w)
	if err != nil {
		return conn, nil, hs, err
	}
	return conn, bufferedOf(rw.Reader), hs, nil
}

// plainly returns r, which asks for an upgrade, with each header that says so in
// the only form that gobwas/ws reads: one line with one token. A client or proxy
// may list several tokens, on one line or more (RFC 9110, section 5.3).
func plainly(r *http.Request) *http.Request {
	plain := r.WithContext(r.Context()) // a shallow copy
	plain.Header = maps.Clone(r.Header)
	plain.Header["Upgrade"], plain.Header["Connection"] = []string{"websocket"}, []string{"Upgrade"}
	return plain
}

// bufferedOf returns a copy of what r has buffered.
func bufferedOf(r *bufio.Reader) []byte {
	if r == nil || r.Buffered() == 0 {
		return nil
	}
	p, _ := r.Peek(r.Buffered())
	return append([]byte(nil), p...)
}

// deflateParameters are the parameters that both sides must agree on.
var deflateParameters = wsflate.Parameters{ServerNoContextTakeover: true, ClientNoContextTakeover: true}

// negotiate returns a function that answers the offers of one handshake by
// taking the first acceptable one. An invalid offer is declined (RFC 7692,
// section 5.1).
func negotiate() func(httphead.Option) (httphead.Option, error) {
	e := &wsflate.Extension{Parameters: deflateParameters}
	return func(offer httphead.Option) (httphead.Option, error) {
		accepted, err := e.Negotiate(offer)
		if err != nil {
			return httphead.Option{}, nil
		}
		return accepted, nil
	}
}
