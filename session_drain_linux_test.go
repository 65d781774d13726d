package chanio_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/sock"
)

// What Flush has confirmed arrives, though it may still be in our kernel when
// the session ends beside unread input.
func TestAnEndWithoutAResetDrainsTheInput(t *testing.T) {
	for _, idle := range []bool{false, true} {
		for _, kind := range wireKinds {
			name := "the context/" + kind
			o := chanio.Options{ReadBuffer: 256 << 10, WriteBuffer: 4 << 20}
			if idle {
				name = "IdleTimeout/" + kind
				o.IdleTimeout = 2 * time.Second // more than it takes to begin, on a busy machine too
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := overWire(t, kind, o)
				if c, ok := w.wire.(*net.TCPConn); ok {
					require.NoError(t, c.SetReadBuffer(16<<10)) // so that most of the answer stays with us
				}
				// Of this at most the first is received, and all of it has arrived: what is
				// still on its way to a closed socket resets the connection.
				for range 8 {
					_, err := w.peer.Write(make([]byte, 16<<10))
					require.NoError(t, err)
				}
				require.Eventually(t, func() bool { return w.Stats().BytesReceived > 0 && arrived(w.wire) }, patience, time.Millisecond)
				want := noise(128 << 10)
				require.NoError(t, w.Put(want))
				require.NoError(t, w.Flush(t.Context()))
				if idle {
					for range w.Recv() { // so that the peer is idle
					}
				} else {
					w.end()
				}
				got, err := io.ReadAll(bufio.NewReaderSize(w.peer, len(want))) // a short read would cut a packet
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got), "%d of %d bytes", len(got), len(want))
				awaitDone(t, w)
			})
		}
	}
}

// arrived reports whether all that was written to conn is with its peer.
func arrived(conn net.Conn) bool {
	_, tcp := conn.(*net.TCPConn)
	return !tcp || sock.Of(conn).Progress().Left == 0
}
