package ws_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/ws"
)

// answering returns the URL of a server that answers one handshake with these
// extensions, and then waits for the client's end.
func answering(t *testing.T, extensions string) string {
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
			"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
		if extensions != "" {
			answer += "Sec-WebSocket-Extensions: " + extensions + "\r\n"
		}
		io.WriteString(conn, answer+"\r\n")
		io.Copy(io.Discard, conn)
	}()
	return "ws://" + ln.Addr().String()
}

func TestAClientRefusesCompressionThatItDidNotOffer(t *testing.T) {
	offer := &ws.Options{Compression: new(ws.Compression)}
	for _, c := range []struct {
		name, answer string
		o            *ws.Options
		refused      bool
	}{
		{"none", "", offer, false},
		{"what was offered", "permessage-deflate; server_no_context_takeover; client_no_context_takeover", offer, false},
		{"the client's own choice", "permessage-deflate; server_no_context_takeover", offer, false},
		{"a small window of the server's", "permessage-deflate; server_no_context_takeover; server_max_window_bits=9", offer, false},
		{"with context takeover", "permessage-deflate", offer, true},
		{"a window for the client, which offered no choice", "permessage-deflate; server_no_context_takeover; client_max_window_bits=15", offer, true},
		{"an unknown parameter", "permessage-deflate; server_no_context_takeover; level=9", offer, true},
		{"an invalid window", "permessage-deflate; server_no_context_takeover; server_max_window_bits=16", offer, true},
		{"twice", "permessage-deflate; server_no_context_takeover, permessage-deflate; server_no_context_takeover", offer, true},
		{"another extension", "permessage-bzip2", offer, true},
		{"without an offer", "permessage-deflate; server_no_context_takeover", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := ws.Dial(t.Context(), answering(t, c.answer), c.o)
			if c.refused {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			s.Abort(nil)
			<-s.Done()
		})
	}
}
