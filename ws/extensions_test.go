package ws_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/ws"
)

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
			header := "\r\n"
			if c.answer != "" {
				header = "Sec-WebSocket-Extensions: " + c.answer + "\r\n\r\n"
			}
			s, err := ws.Dial(t.Context(), answering(t, header, new(bytes.Reader)), c.o)
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
