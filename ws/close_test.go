package ws

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"
	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// These tests look at both sides of a close handshake, whichever begins it,
// with gorilla's client. TestDialTalksTo… and the close cases have other peers.

func TestAClientThatClosesFirstGetsItsCodeBackAfterTheLastMessage(t *testing.T) {
	ends := make(chan *chanio.Session, 1)
	_, url := serve(t, &Options{Text: true}, func(s *chanio.Session) {
		for range s.Recv() {
		}
		s.Put([]byte("what was left to say")) // its close does not cut us short
		s.Close()
		ends <- s
	})
	c := dialGorilla(t, url)
	require.NoError(t, c.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(4100, "enough")))
	_, p, err := c.ReadMessage()
	require.NoError(t, err)
	require.Equal(t, "what was left to say", string(p))
	requireClosed(t, c, 4100)
	s := <-ends
	<-s.Done()
	requireCloseError(t, s, 4100, "enough")
	e, ok := PeerClose(s)
	require.True(t, ok)
	require.EqualValues(t, 4100, e.Code)
}

func TestAServerThatClosesFirstSendsItsCodeAfterTheLastMessage(t *testing.T) {
	ends := make(chan error, 1)
	_, url := serve(t, &Options{Text: true}, func(s *chanio.Session) {
		s.Put([]byte("the last one"))
		ends <- errors.Join(CloseWith(s, 4200, "bye"), s.Err())
	})
	c := dialGorilla(t, url)
	_, p, err := c.ReadMessage()
	require.NoError(t, err)
	require.Equal(t, "the last one", string(p))
	requireClosed(t, c, 4200) // which answers
	require.NoError(t, <-ends)
}

func TestBothMayCloseAtOnce(t *testing.T) {
	ends := make(chan *chanio.Session, 1)
	both := make(chan struct{})
	_, url := serve(t, &Options{Text: true}, func(s *chanio.Session) {
		<-both
		CloseWith(s, 4300, "")
		ends <- s
	})
	p := dialRaw(t, url, false)
	p.send(frames(closing(4301, "")), 0)
	close(both)
	g, err := p.receive()
	require.NoError(t, err)
	require.EqualValues(t, 8, g.op)
	require.Contains(t, []string{"\x10\xcc", "\x10\xcd"}, g.payload, "4300, or the answer to 4301")
	_, err = p.r.ReadByte()
	require.Error(t, err, "there is one close, and nothing after it")
	<-(<-ends).Done()
}

func TestASessionWhosePeerClosedAtOnceIsNotRefused(t *testing.T) {
	conn, peer := net.Pipe()
	defer peer.Close()
	bye := ws.MustCompileFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(4000, "")))
	f := framing{client: true}
	handed := &chanio.Handover{Conn: conn, Buffered: bye, Framing: f, Reader: &reader{framing: f}}
	s := chanio.NewSession(t.Context(), handed, nil)
	defer s.Abort(nil)
	require.Eventually(t, func() bool { return s.Err() != nil }, patience, time.Millisecond)
	require.NoError(t, refused(s), "it can still send")
	s.Abort(nil)
	<-s.Done()
	requireCloseError(t, s, 4000, "")
	require.NoError(t, refused(s), "what it has received can still be received")

	bad := chanio.NewSession(t.Context(), &chanio.Handover{Conn: peer}, &chanio.Options{Lag: 17})
	require.ErrorContains(t, refused(bad), "Lag")
}

func dialGorilla(t *testing.T, url string) *gorilla.Conn {
	t.Helper()
	c, _, err := gorilla.DefaultDialer.Dial(url, nil)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(patience))
	return c
}

// requireClosed requires a close with code, and nothing after it.
func requireClosed(t *testing.T, c *gorilla.Conn, code int) {
	t.Helper()
	_, _, err := c.ReadMessage()
	require.True(t, gorilla.IsCloseError(err, code), "%v", err)
}
