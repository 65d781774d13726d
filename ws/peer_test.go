package ws

import (
	"bufio"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// patience is how long a test waits for something that must come. It fails
// after that, and no test takes so long.
const patience = 30 * time.Second

// serve starts a server with a Handler, at URL ws://…, whose sessions go to
// handle.
func serve(t testing.TB, o *Options, handle func(*chanio.Session)) (h *Handler, wsURL string) {
	t.Helper()
	h = NewHandler(context.Background(), o)
	server := httptest.NewServer(h)
	var handlers sync.WaitGroup
	handlers.Go(func() {
		for s := range h.Listener().Sessions() {
			handlers.Go(func() { handle(s) })
		}
	})
	t.Cleanup(func() {
		h.Listener().Close()
		handlers.Wait()
		server.Close()
	})
	return h, "ws" + strings.TrimPrefix(server.URL, "http")
}

// echo sends back every message.
func echo(s *chanio.Session) {
	defer s.Close()
	for m := range s.Recv() {
		if s.Put(m) != nil {
			return
		}
	}
}

// A rawPeer is a client that sends whatever it is told, right or wrong.
type rawPeer struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

// dialRaw shakes hands, with compression if deflate is set.
func dialRaw(t testing.TB, wsURL string, deflate bool) *rawPeer {
	t.Helper()
	u, err := url.Parse(wsURL)
	require.NoError(t, err)
	conn, err := net.Dial("tcp", u.Host)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	d := ws.Dialer{}
	if deflate {
		d.Extensions = []httphead.Option{deflateParameters.Option()}
	}
	br, hs, err := d.Upgrade(conn, u)
	require.NoError(t, err)
	require.Equal(t, deflate, len(hs.Extensions) == 1)
	if br == nil {
		br = bufio.NewReader(conn)
	}
	return &rawPeer{t, conn, br}
}

// frame makes a masked frame of any kind.
func frame(fin bool, rsv byte, op ws.OpCode, payload string) []byte {
	return ws.MustCompileFrame(ws.MaskFrameInPlace(ws.Frame{
		Header:  ws.Header{Fin: fin, Rsv: rsv, OpCode: op, Length: int64(len(payload))},
		Payload: []byte(payload),
	}))
}

func text(p string) []byte                { return frame(true, 0, ws.OpText, p) }
func binaryFrame(p string) []byte         { return frame(true, 0, ws.OpBinary, p) }
func first(op ws.OpCode, p string) []byte { return frame(false, 0, op, p) }
func next(p string) []byte                { return frame(false, 0, ws.OpContinuation, p) }
func last(p string) []byte                { return frame(true, 0, ws.OpContinuation, p) }
func ping(p string) []byte                { return frame(true, 0, ws.OpPing, p) }
func closing(code uint16, reason string) []byte {
	return frame(true, 0, ws.OpClose, string(ws.NewCloseFrameBody(ws.StatusCode(code), reason)))
}

// send sends frames, in pieces of chop bytes if that is not 0.
func (p *rawPeer) send(frames [][]byte, chop int) {
	var wire []byte
	for _, f := range frames {
		wire = append(wire, f...)
	}
	for len(wire) > 0 {
		n := len(wire)
		if chop > 0 {
			n = min(n, chop)
		}
		if _, err := p.Write(wire[:n]); err != nil {
			return // it was closed, as the received frames will show
		}
		wire = wire[n:]
	}
}

// A got is a received frame, or the end of the stream.
type got struct {
	op      ws.OpCode
	payload string
	rsv     byte
}

// receive reads a frame.
func (p *rawPeer) receive() (got, error) {
	f, err := readFrame(p.r)
	if f.Payload == nil {
		return got{}, err // not even a header
	}
	require.False(p.t, f.Header.Masked, "a server does not mask")
	require.True(p.t, f.Header.Fin)
	return got{f.Header.OpCode, string(f.Payload), f.Header.Rsv}, err
}

// expect reads frames, which must be want.
func (p *rawPeer) expect(want ...got) {
	p.t.Helper()
	for _, w := range want {
		g, err := p.receive()
		require.NoError(p.t, err)
		require.Equal(p.t, w, g)
	}
}

// expectClose reads a close with code, and the end of stream after it. 1005 is
// a close without a code.
func (p *rawPeer) expectClose(code ws.StatusCode) {
	p.t.Helper()
	g, err := p.receive()
	require.NoError(p.t, err)
	require.Equal(p.t, ws.OpClose, g.op, "%q", g.payload)
	if code == StatusNoCode {
		require.Empty(p.t, g.payload)
	} else {
		c, reason := ws.ParseCloseFrameData([]byte(g.payload))
		require.Equal(p.t, code, c, reason)
	}
	_, err = p.r.ReadByte()
	require.ErrorIs(p.t, err, io.EOF)
}

// randomText returns n bytes that do not compress much.
func randomText(n int) string {
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(rng.IntN(26))
	}
	return string(b)
}

var _ http.Handler = (*Handler)(nil)
