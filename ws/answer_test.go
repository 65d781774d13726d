package ws_test

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/ws"
)

// answering returns the URL of a server that answers one handshake with 101 and
// these further header lines, and then with what more says, until the client
// ends.
func answering(t *testing.T, header string, more io.Reader) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() { // ends with the client, or with the listener
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n" + header
		if _, err := io.Copy(conn, io.MultiReader(bytes.NewReader([]byte(answer)), more)); err == nil {
			io.Copy(io.Discard, conn)
		}
	}()
	return "ws://" + ln.Addr().String()
}

// endless reads as the same byte, for ever.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

func TestAnEndlessAnswerIsRefused(t *testing.T) {
	for _, c := range []struct{ name, header string }{
		{"in one line", "X-Big: "},
		{"in a name", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := answering(t, c.header, endless('a'))
			o := &ws.Options{Chanio: &chanio.Options{DialTimeout: time.Hour}}
			_, err := ws.Dial(t.Context(), url, o)
			require.ErrorContains(t, err, "more than 1048576 bytes")
		})
	}
}

func TestAnAnswerThatIsLongButEndsIsTaken(t *testing.T) {
	long := "X-Big: " + string(bytes.Repeat([]byte("a"), 1<<19)) + "\r\n\r\n"
	frames := bytes.NewReader([]byte("\x82\x05hello\x82\x05again"))
	s, err := ws.Dial(t.Context(), answering(t, long, frames), nil)
	require.NoError(t, err)
	require.Equal(t, "hello", string(<-s.Recv()))
	require.Equal(t, "again", string(<-s.Recv()))
	s.Abort(nil)
	<-s.Done()
}
