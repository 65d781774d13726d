package ws

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// A recordCounter counts the TLS records of data that come in over a connection.
type recordCounter struct {
	net.Conn
	rest    []byte // the beginning of a record
	records atomic.Int64
}

func (c *recordCounter) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.rest = append(c.rest, p[:n]...)
	for len(c.rest) >= 5 {
		size := 5 + int(binary.BigEndian.Uint16(c.rest[3:]))
		if len(c.rest) < size {
			break
		}
		if c.rest[0] == 23 {
			c.records.Add(1)
		}
		c.rest = c.rest[size:]
	}
	return n, err
}

func TestFramesThatAreDueTogetherShareARecordOfTLS(t *testing.T) {
	h := NewHandler(t.Context(), nil)
	defer h.Listener().Close()
	server := httptest.NewTLSServer(h)
	defer server.Close()
	var wire *recordCounter
	s, err := Dial(t.Context(), "wss"+server.URL[5:], &Options{Chanio: &chanio.Options{
		TLS: server.Client().Transport.(*http.Transport).TLSClientConfig,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			wire = &recordCounter{Conn: conn}
			return wire, err
		},
	}})
	require.NoError(t, err)
	peer := <-h.Listener().Sessions()
	_, secret := peer.TLS()
	require.True(t, secret)
	go echo(peer)
	before := wire.records.Load()
	b := chanio.NewBatch()
	for range 200 {
		b.Append([]byte("a message of thirty-two bytes..."))
	}
	require.NoError(t, h.Listener().Hub().MulticastBatch(b))
	for range 200 {
		require.Equal(t, "a message of thirty-two bytes...", string(<-s.Recv()))
	}
	require.LessOrEqual(t, wire.records.Load()-before, int64(10), "200 frames, 6.8 KB")
	require.NoError(t, s.Close())
	<-peer.Done()
}
