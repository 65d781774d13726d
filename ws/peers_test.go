package ws

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// All peers exchange these messages: empty, small, longer than one read, and
// longer than a fragment of any peer.
var exchanged = []string{"", "hello", "κόσμε", strings.Repeat("compress me ", 1000), randomText(70_000)}

// bothCompressions runs f without and with compression.
func bothCompressions(t *testing.T, f func(t *testing.T, o *Options)) {
	t.Run("plain", func(t *testing.T) { f(t, &Options{Text: true}) })
	t.Run("compressed", func(t *testing.T) { f(t, &Options{Text: true, Compression: &Compression{}}) })
}

func TestGorillasClientTalksToAHandler(t *testing.T) {
	bothCompressions(t, func(t *testing.T, o *Options) {
		ends := make(chan *chanio.Session, 1)
		_, url := serve(t, o, func(s *chanio.Session) { echo(s); ends <- s })
		d := gorilla.Dialer{EnableCompression: o.Compression != nil, WriteBufferSize: 1000} // fragments
		c, response, err := d.Dial(url, nil)
		require.NoError(t, err)
		defer c.Close()
		require.Equal(t, o.Compression != nil, strings.Contains(response.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate"))
		c.SetReadDeadline(time.Now().Add(patience))
		pongs := make(chan string, 1)
		c.SetPongHandler(func(data string) error { pongs <- data; return nil })
		for _, m := range exchanged {
			require.NoError(t, c.WriteMessage(gorilla.TextMessage, []byte(m)))
			kind, got, err := c.ReadMessage()
			require.NoError(t, err)
			require.Equal(t, gorilla.TextMessage, kind)
			require.Equal(t, m, string(got))
		}
		require.NoError(t, c.WriteControl(gorilla.PingMessage, []byte("ping"), time.Now().Add(patience)))
		require.NoError(t, c.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(4321, "enough"), time.Now().Add(patience)))
		_, _, err = c.ReadMessage()
		require.True(t, gorilla.IsCloseError(err, 4321), "%v", err)
		require.Equal(t, "ping", <-pongs)
		s := <-ends
		<-s.Done()
		requireCloseError(t, s, 4321, "enough")
	})
}

func requireCloseError(t *testing.T, s *chanio.Session, code StatusCode, reason string) {
	t.Helper()
	e, ok := errors.AsType[*CloseError](s.Err())
	require.True(t, ok, "%v", s.Err())
	require.Equal(t, code, e.Code)
	require.Equal(t, reason, e.Reason)
}

func TestCodersClientTalksToAHandler(t *testing.T) {
	bothCompressions(t, func(t *testing.T, o *Options) {
		ends := make(chan *chanio.Session, 1)
		_, url := serve(t, o, func(s *chanio.Session) { echo(s); ends <- s })
		mode := coder.CompressionDisabled
		if o.Compression != nil {
			mode = coder.CompressionNoContextTakeover
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c, _, err := coder.Dial(ctx, url, &coder.DialOptions{CompressionMode: mode, CompressionThreshold: 1})
		require.NoError(t, err)
		defer c.CloseNow()
		c.SetReadLimit(1 << 20)
		for _, m := range exchanged {
			require.NoError(t, c.Write(ctx, coder.MessageBinary, []byte(m)))
			_, got, err := c.Read(ctx)
			require.NoError(t, err)
			require.Equal(t, m, string(got))
		}
		ctx = c.CloseRead(ctx) // which receives the pong
		require.NoError(t, c.Ping(ctx))
		require.NoError(t, c.Close(coder.StatusNormalClosure, "bye"))
		s := <-ends
		<-s.Done()
		require.NoError(t, s.Err())
		e, ok := PeerClose(s)
		require.True(t, ok)
		require.Equal(t, CloseError{Code: StatusNormal, Reason: "bye", cause: e.cause}, e)
	})
}

// exchange sends all messages through s and requires their echoes.
func exchange(t *testing.T, s *chanio.Session) {
	t.Helper()
	for _, m := range exchanged {
		require.NoError(t, s.Put([]byte(m)))
		got, open := <-s.Recv()
		require.True(t, open, "%v", s.Err())
		require.Equal(t, m, string(got))
	}
}

func TestDialTalksToGorillasServer(t *testing.T) {
	bothCompressions(t, func(t *testing.T, o *Options) {
		u := gorilla.Upgrader{EnableCompression: true, WriteBufferSize: 1000}
		ended := make(chan error, 1)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := u.Upgrade(w, r, nil)
			if err != nil {
				ended <- err
				return
			}
			defer c.Close()
			for {
				kind, m, err := c.ReadMessage()
				if err != nil {
					ended <- err
					return
				}
				c.WriteControl(gorilla.PingMessage, []byte("are you there"), time.Now().Add(patience))
				c.WriteMessage(kind, m)
			}
		}))
		defer server.Close()
		s, err := Dial(t.Context(), "ws"+server.URL[4:], o)
		require.NoError(t, err)
		exchange(t, s)
		require.NoError(t, CloseWith(s, 3456, "done"))
		require.True(t, gorilla.IsCloseError(<-ended, 3456))
		require.NoError(t, s.Err())
	})
}

func TestDialTalksToCodersServer(t *testing.T) {
	bothCompressions(t, func(t *testing.T, o *Options) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := coder.Accept(w, r, &coder.AcceptOptions{CompressionMode: coder.CompressionNoContextTakeover, CompressionThreshold: 1})
			if err != nil {
				return
			}
			defer c.CloseNow()
			c.SetReadLimit(1 << 20)
			for range exchanged {
				kind, m, err := c.Read(r.Context())
				if err != nil || c.Write(r.Context(), kind, m) != nil {
					return
				}
			}
			c.Close(4000, "that is all")
		}))
		defer server.Close()
		s, err := Dial(t.Context(), "ws"+server.URL[4:], o)
		require.NoError(t, err)
		exchange(t, s)
		_, open := <-s.Recv()
		require.False(t, open)
		require.NoError(t, s.Close())
		requireCloseError(t, s, 4000, "that is all")
	})
}

func TestDialTalksToAHandler(t *testing.T) {
	bothCompressions(t, func(t *testing.T, o *Options) {
		for _, queue := range []int{-1, 1, 0} {
			o := *o
			o.Chanio = &chanio.Options{RecvQueue: queue, SendQueue: queue}
			_, url := serve(t, &o, echo)
			s, err := Dial(t.Context(), url, &o)
			require.NoError(t, err)
			exchange(t, s)
			require.NoError(t, s.Close())
			require.NoError(t, s.Err())
		}
	})
}

func TestAnEndWithoutACloseIsCode1006(t *testing.T) {
	ends := make(chan *chanio.Session, 1)
	_, url := serve(t, nil, func(s *chanio.Session) { echo(s); ends <- s })
	p := dialRaw(t, url, false)
	p.Close()
	s := <-ends
	<-s.Done()
	requireCloseError(t, s, StatusAbnormal, "")
	require.ErrorIs(t, s.Err(), io.ErrUnexpectedEOF)
}
