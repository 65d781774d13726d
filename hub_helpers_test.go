package chanio_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

// listenTCP returns a listener on a free port of the loopback interface. It
// ends with the test.
func listenTCP(t testing.TB, o *chanio.Options) *chanio.Listener {
	t.Helper()
	l, err := chanio.Listen(context.Background(), "tcp", "127.0.0.1:0", o)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// joinTCP returns a plain client of l and its session, which is in the hub.
func joinTCP(t testing.TB, l *chanio.Listener) (net.Conn, *chanio.Session) {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn, <-l.Sessions()
}

// read reads exactly want from conn.
func read(t *testing.T, conn io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	_, err := io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

// joinMem returns a session over memory that is a member of h, and its peer.
func joinMem(t *testing.T, h *chanio.Hub, o *chanio.Options) (*chanio.Session, *chaniotest.Conn) {
	t.Helper()
	s, peer := memSession(t, o)
	require.NoError(t, h.Join(s))
	return s, peer
}

// testHub returns a hub that ends with the test.
func testHub(t testing.TB, o *chanio.Options) *chanio.Hub {
	h := chanio.NewHub(context.Background(), o)
	t.Cleanup(func() { h.Close() })
	return h
}

// readInto reads from conn until its end, in a goroutine. Receive the result
// once conn has ended.
func readInto(conn io.Reader) <-chan []byte {
	all := make(chan []byte, 1)
	go func() {
		got, _ := io.ReadAll(conn)
		all <- got
	}()
	return all
}

// kinds returns the kinds of the events that are in events now.
func kinds(events <-chan chanio.Event) (k []chanio.EventKind) {
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return k
			}
			k = append(k, e.Kind)
		default:
			return k
		}
	}
}

// message returns message i, of n bytes. All messages are different.
func message(i, n int) []byte {
	return bytes.Repeat([]byte{byte(i), byte(i >> 8), byte(i >> 16), '.'}, n/4+1)[:n]
}

var lagPolicies = []chanio.LagPolicy{chanio.LagDisconnect, chanio.LagDrop, chanio.LagBlock}
