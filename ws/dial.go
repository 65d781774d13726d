package ws

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"example.com/chanio"
)

const defaultDialTimeout = 10 * time.Second // chanio's DialTimeout

// Dial connects to a ws or wss URL and returns the session. The context bounds
// the session's lifetime, not the dialing: under a context.WithTimeout the
// session would close when the time is up. Chanio.DialTimeout bounds dialing,
// both handshakes included. The error of a timeout is context.DeadlineExceeded.
//
// Dial uses Chanio.Dialer, DialContext and TLS as chanio.Dial does. If the
// server answers with a status other than 101, the error is a
// [*HandshakeError].
func Dial(ctx context.Context, url string, o *Options) (*chanio.Session, error) {
	d, err := newDialer(url, o)
	if err != nil {
		return nil, err
	}
	dialCtx := ctx
	if timeout := orDefault(d.set.chanio.DialTimeout, defaultDialTimeout); timeout > 0 {
		var cancel context.CancelFunc
		dialCtx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	h, err := d.dial(dialCtx)
	if err != nil {
		return nil, err
	}
	s := chanio.NewSession(ctx, h, &d.set.chanio)
	if err := refused(s); err != nil {
		return nil, err
	}
	return s, nil
}

// refused returns why NewSession has returned a session that never began: it has
// ended, and has no address. Err alone may be about one whose peer closed at once with
// a code. To drop that would lose what the peer sent before, and leave its connection
// open.
func refused(s *chanio.Session) error {
	select {
	case <-s.Done():
	default:
		return nil
	}
	if s.LocalAddr() != nil {
		return nil
	}
	return s.Err()
}

// Connect keeps one session to a ws or wss URL up until ctx ends, like
// chanio.Connect: when the session ends, it dials again after Chanio.Backoff,
// and every failed attempt is an event. An invalid URL or invalid options yield
// a client that has already ended with that Err.
func Connect(ctx context.Context, url string, o *Options) *chanio.Client {
	d, err := newDialer(url, o)
	if err != nil {
		ended, cancel := context.WithCancelCause(ctx)
		cancel(err)
		return chanio.Connect(ended, "tcp", "", nil)
	}
	co := d.set.chanio
	co.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		h, err := d.dial(ctx)
		if err != nil {
			return nil, err // not a nil *Handover in a net.Conn
		}
		return h, nil
	}
	return chanio.Connect(ctx, "tcp", d.addr, &co)
}

// A HandshakeError is a server's answer that is not an upgrade.
type HandshakeError struct {
	URL    string
	Status int
}

func (e *HandshakeError) Error() string {
	return fmt.Sprintf("chanio: websocket: %s answered with status %d, not 101", e.URL, e.Status)
}

// orDefault resolves a duration: zero is the default, negative is none.
func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return max(d, 0)
}

// A dialer dials one URL.
type dialer struct {
	set    *settings
	url    *url.URL
	addr   string
	tls    *tls.Config // nil: none
	header ws.HandshakeHeader
}

func newDialer(raw string, o *Options) (*dialer, error) {
	set, err := o.resolve(true)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("chanio: websocket: %w", err)
	}
	d := &dialer{set: set, url: u}
	if len(set.Header) > 0 {
		d.header = ws.HandshakeHeaderHTTP(set.Header)
	}
	port := "80"
	switch u.Scheme {
	case "ws":
	case "wss":
		port = "443"
		d.tls = clientTLS(set.chanio.TLS, u.Hostname())
	default:
		return nil, fmt.Errorf("chanio: websocket: the scheme of %q must be ws or wss", raw)
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("chanio: websocket: no host in %q", raw)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	d.addr = net.JoinHostPort(u.Hostname(), port)
	u.Fragment = "" // it is not sent
	set.chanio.TLS = nil
	return d, nil
}

// clientTLS returns a config that requires TLS 1.2, verifies host unless config
// says otherwise, and negotiates HTTP/1.1.
func clientTLS(config *tls.Config, host string) *tls.Config {
	if config == nil {
		config = new(tls.Config)
	}
	config = config.Clone()
	if config.ServerName == "" {
		config.ServerName = host
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	config.NextProtos = []string{"http/1.1"}
	return config
}

// dial connects and performs the handshakes, until ctx ends.
func (d *dialer) dial(ctx context.Context) (*chanio.Handover, error) {
	connect := d.set.chanio.DialContext
	if connect == nil {
		nd := d.set.chanio.Dialer
		if nd == nil {
			nd = new(net.Dialer)
		}
		connect = nd.DialContext
	}
	conn, err := connect(ctx, "tcp", d.addr)
	if err != nil {
		return nil, fmt.Errorf("chanio: websocket: %w", ctxError(ctx, err))
	}
	h, err := d.shake(ctx, conn)
	if err != nil {
		conn.Close()
		return nil, ctxError(ctx, err)
	}
	return h, nil
}

// shake performs the handshakes of TLS, if any, and of WebSocket.
func (d *dialer) shake(ctx context.Context, conn net.Conn) (*chanio.Handover, error) {
	if d.tls != nil {
		tc := tls.Client(conn, d.tls)
		if err := tc.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("chanio: websocket: tls handshake with %s: %w", d.addr, err)
		}
		conn = tc
	}
	// A waiting handshake fails when ctx ends, and only then.
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	h, err := d.upgrade(conn)
	if err != nil {
		return nil, err
	}
	if !stop() {
		return nil, ctx.Err() // its deadline may be on conn, now or later
	}
	return h, nil
}

// upgrade requests the upgrade.
func (d *dialer) upgrade(conn net.Conn) (*chanio.Handover, error) {
	wd := ws.Dialer{Protocols: d.set.Subprotocols, Header: d.header}
	if d.set.Compression != nil {
		wd.Extensions = []httphead.Option{deflateParameters.Option()}
	}
	answer := &answerReader{conn, maxAnswer}
	br, hs, err := wd.Upgrade(struct {
		io.Reader
		io.Writer
	}{answer, conn}, d.url)
	if status, ok := err.(ws.StatusError); ok {
		return nil, &HandshakeError{URL: d.url.Redacted(), Status: int(status)}
	}
	if err != nil {
		return nil, fmt.Errorf("chanio: websocket: handshake with %s: %w", d.addr, err)
	}
	buffered := bufferedOf(br)
	if br != nil {
		ws.PutReader(br)
	}
	if err := checkExtensions(hs); err != nil {
		return nil, err
	}
	f := d.set.agreed(compressed(hs))
	return &chanio.Handover{
		Conn:     conn,
		Buffered: buffered,
		Framing:  f,
		Reader:   &reader{framing: f, subprotocol: hs.Protocol},
	}, nil
}

// maxAnswer bounds the header of a server's answer, in bytes, as
// http.DefaultMaxHeaderBytes bounds a request's.
const maxAnswer = 1 << 20

// An answerReader reads a server's answer, and refuses an endless one.
type answerReader struct {
	r    io.Reader
	left int
}

func (a *answerReader) Read(p []byte) (int, error) {
	if a.left <= 0 {
		return 0, fmt.Errorf("the answer has a header of more than %d bytes", maxAnswer)
	}
	n, err := a.r.Read(p[:min(len(p), a.left)])
	a.left -= n
	return n, err
}

// checkExtensions reports an invalid answer to the compression offer, such as
// one that would need context takeover, or that limits the client's window,
// which only an offer may allow (RFC 7692, section 7.1.2.2).
func checkExtensions(hs ws.Handshake) error {
	if !compressed(hs) {
		return nil
	}
	var p wsflate.Parameters
	if err := p.Parse(hs.Extensions[0]); err != nil {
		return fmt.Errorf("chanio: websocket: %w", err)
	}
	if len(hs.Extensions) > 1 || !p.ServerNoContextTakeover || p.ClientMaxWindowBits.Defined() {
		return errors.New("chanio: websocket: the server did not take the compression that was offered")
	}
	return nil
}

// ctxError adds ctx's error to err if ctx has ended.
func ctxError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}
