package chaniotest_test

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"example.com/chanio/chaniotest"
)

// noise returns n random bytes, the same each time.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestConnIsANetConn(t *testing.T) {
	small := chaniotest.Path{Buffer: 10_000, Fragment: 1000}
	none := chaniotest.Path{Buffer: -1}
	slow := chaniotest.Path{Buffer: 1 << 20, Latency: time.Millisecond, Jitter: time.Millisecond}
	for _, test := range []struct {
		name string
		link *chaniotest.Link
	}{
		{"without faults", nil},
		{"with a small buffer and fragments", &chaniotest.Link{Up: small, Down: small}},
		{"without buffers", &chaniotest.Link{Up: none, Down: none}},
		{"with latency and jitter", &chaniotest.Link{Up: slow, Down: slow}},
	} {
		t.Run(test.name, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				c1, c2 = chaniotest.Pipe(test.link)
				return c1, c2, func() {
					c1.Close()
					c2.Close()
				}, nil
			})
		})
	}
}

func TestCloseWriteEndsOneDirection(t *testing.T) {
	bubble(t, nil, func(t *testing.T, client, server *chaniotest.Conn) {
		write(t, client, "last words")
		require.NoError(t, client.CloseWrite())
		require.NoError(t, client.CloseWrite(), "idempotent")
		_, err := client.Write([]byte("more"))
		requireErrno(t, err, client, "write", syscall.EPIPE)
		read(t, server, "last words")
		for range 2 {
			_, err = server.Read(make([]byte, 1))
			require.Equal(t, io.EOF, err)
		}
		write(t, server, "goodbye")
		read(t, client, "goodbye")
	})
}

func TestDataWrittenBeforeCloseArrives(t *testing.T) {
	bubble(t, up(chaniotest.Path{Latency: time.Hour}), func(t *testing.T, client, server *chaniotest.Conn) {
		write(t, client, "last words")
		require.NoError(t, client.Close())
		read(t, server, "last words")
		_, err := server.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
	})
}

func TestCloseWithUnreadInputResets(t *testing.T) {
	bubble(t, nil, func(t *testing.T, client, server *chaniotest.Conn) {
		write(t, client, "never read")
		write(t, server, "has arrived")
		require.NoError(t, server.Close())
		read(t, client, "has arrived")
		_, err := client.Read(make([]byte, 1))
		requireErrno(t, err, client, "read", syscall.ECONNRESET)
		_, err = client.Write([]byte("x"))
		requireErrno(t, err, client, "write", syscall.EPIPE)
	})
}

func TestInputAfterACloseResets(t *testing.T) {
	for _, test := range []struct {
		name  string
		first func(t *testing.T, client, server *chaniotest.Conn)
	}{
		{"written before", func(t *testing.T, client, server *chaniotest.Conn) {
			write(t, client, "on its way")
			require.NoError(t, server.Close())
		}},
		{"written later", func(t *testing.T, client, server *chaniotest.Conn) {
			require.NoError(t, server.Close())
			write(t, client, "too late")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			link := up(chaniotest.Path{Latency: time.Second, Buffer: 100})
			bubble(t, link, func(t *testing.T, client, server *chaniotest.Conn) {
				start := time.Now()
				test.first(t, client, server)
				_, err := client.Read(make([]byte, 1))
				require.Equal(t, io.EOF, err, "which came first")
				time.Sleep(time.Second - time.Nanosecond)
				write(t, client, "too late, and unnoticed")
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				_, err = client.Write([]byte("x"))
				requireErrno(t, err, client, "write", syscall.EPIPE)
				require.Equal(t, time.Second, time.Since(start))
			})
		})
	}
}

func TestCloseAfterSetLingerResets(t *testing.T) {
	link := down(chaniotest.Path{Latency: time.Second})
	bubble(t, link, func(t *testing.T, client, server *chaniotest.Conn) {
		write(t, server, "lost on its way")
		require.NoError(t, server.SetLinger(0))
		require.NoError(t, server.Close())
		_, err := client.Read(make([]byte, 1))
		requireErrno(t, err, client, "read", syscall.ECONNRESET)
	})
	bubble(t, nil, func(t *testing.T, client, server *chaniotest.Conn) {
		require.NoError(t, server.SetLinger(0))
		require.NoError(t, server.SetLinger(5))
		require.NoError(t, server.Close())
		_, err := client.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err, "other values are no reset")
	})
}

func TestAClosedConnSaysSo(t *testing.T) {
	bubble(t, nil, func(t *testing.T, client, server *chaniotest.Conn) {
		require.NoError(t, client.Close())
		_, readErr := client.Read(make([]byte, 1))
		_, writeErr := client.Write([]byte("x"))
		for _, err := range []error{
			readErr, writeErr, client.Close(), client.CloseWrite(), client.SetDeadline(time.Now()),
			client.SetReadDeadline(time.Now()), client.SetWriteDeadline(time.Now()), client.SetLinger(0),
		} {
			require.ErrorIs(t, err, net.ErrClosed)
			var op *net.OpError
			require.ErrorAs(t, err, &op)
			require.Equal(t, client.LocalAddr(), op.Source)
		}
	})
}

func TestDeadlinesAreOfTheBubble(t *testing.T) {
	bubble(t, up(chaniotest.Path{Buffer: 1}), func(t *testing.T, client, server *chaniotest.Conn) {
		write(t, client, "x")
		start := time.Now()
		require.NoError(t, client.SetDeadline(start.Add(time.Hour)))
		_, err := client.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, time.Hour, time.Since(start))
		_, err = client.Write([]byte("x"))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)

		require.NoError(t, client.SetDeadline(time.Time{}))
		time.AfterFunc(time.Minute, func() { client.SetWriteDeadline(time.Now()) })
		_, err = client.Write([]byte("x"))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "one that was moved, too")
		require.Equal(t, time.Hour+time.Minute, time.Since(start))
	})
}
