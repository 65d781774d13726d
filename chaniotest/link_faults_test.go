package chaniotest_test

import (
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio/chaniotest"
)

func TestEOFAtAByteEndsOneDirection(t *testing.T) {
	for at := range int64(7) {
		bubble(t, up(chaniotest.Path{Faults: []chaniotest.Fault{{Kind: chaniotest.EOF, At: at}}}), func(t *testing.T, client, server *chaniotest.Conn) {
			write(t, client, "hello!")
			got, err := io.ReadAll(server)
			require.NoError(t, err)
			require.Equal(t, "hello!"[:at], string(got))
			write(t, client, string(noise(100_000))) // which is lost, and which does not block
			write(t, server, "still there")
			read(t, client, "still there")
		})
	}
}

func TestResetAtAByteBreaksBothDirections(t *testing.T) {
	for at := range int64(7) {
		bubble(t, up(chaniotest.Path{Faults: []chaniotest.Fault{{Kind: chaniotest.Reset, At: at}}}), func(t *testing.T, client, server *chaniotest.Conn) {
			n, err := client.Write([]byte("hello!"))
			require.EqualValues(t, at, n, "a short write")
			switch at {
			case 0:
				requireErrno(t, err, client, "write", syscall.EPIPE)
			case 6:
				require.NoError(t, err)
			default:
				requireErrno(t, err, client, "write", syscall.ECONNRESET)
			}
			p := make([]byte, 10)
			n, err = io.ReadFull(server, p[:at])
			require.NoError(t, err)
			require.Equal(t, "hello!"[:at], string(p[:n]), "what has arrived can still be read")
			for _, c := range []*chaniotest.Conn{client, server} {
				_, err = c.Read(p)
				requireErrno(t, err, c, "read", syscall.ECONNRESET)
				_, err = c.Write(p)
				requireErrno(t, err, c, "write", syscall.EPIPE)
				require.NoError(t, c.Close())
			}
		})
	}
}

func TestAResetTakesItsTime(t *testing.T) {
	link := up(chaniotest.Path{Latency: time.Second, Faults: []chaniotest.Fault{{Kind: chaniotest.Reset, At: 5}}})
	bubble(t, link, func(t *testing.T, client, server *chaniotest.Conn) {
		start := time.Now()
		write(t, client, "hello, who is not there any more")
		read(t, server, "hello")
		require.Equal(t, time.Second, time.Since(start))
		_, err := server.Read(make([]byte, 1))
		requireErrno(t, err, server, "read", syscall.ECONNRESET)
		_, err = client.Write(make([]byte, 1))
		requireErrno(t, err, client, "write", syscall.EPIPE)
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestAResetWakesWhoWaits(t *testing.T) {
	link := down(chaniotest.Path{Latency: time.Minute, Faults: []chaniotest.Fault{{Kind: chaniotest.Reset}}})
	bubble(t, link, func(t *testing.T, client, server *chaniotest.Conn) {
		done := make(chan error)
		go func() {
			_, err := client.Read(make([]byte, 1))
			done <- err
		}()
		_, err := client.Write(noise(1 << 20))
		requireErrno(t, err, client, "write", syscall.ECONNRESET)
		requireErrno(t, <-done, client, "read", syscall.ECONNRESET)
	})
}

func TestAStallHoldsUpWhatIsBehindIt(t *testing.T) {
	link := up(chaniotest.Path{Faults: []chaniotest.Fault{{Kind: chaniotest.Stall, At: 5, For: time.Minute}}})
	bubble(t, link, func(t *testing.T, client, server *chaniotest.Conn) {
		start := time.Now()
		write(t, client, "hello world")
		client.CloseWrite()
		read(t, server, "hello")
		require.Zero(t, time.Since(start))
		read(t, server, " world")
		require.Equal(t, time.Minute, time.Since(start))
		_, err := server.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		require.Equal(t, time.Minute, time.Since(start), "once")
	})
}

func TestNothingArrivesAfterAPermanentStall(t *testing.T) {
	link := up(chaniotest.Path{Faults: []chaniotest.Fault{{Kind: chaniotest.Stall, At: 5}, {Kind: chaniotest.Reset, At: 7}}})
	for _, end := range []struct {
		name string
		end  func(c *chaniotest.Conn) error
	}{
		{"no bytes", func(*chaniotest.Conn) error { return nil }},
		{"no end of the stream", (*chaniotest.Conn).CloseWrite},
		{"no close", (*chaniotest.Conn).Close},
		{"no reset", func(c *chaniotest.Conn) error { c.SetLinger(0); return c.Close() }},
	} {
		t.Run(end.name, func(t *testing.T) {
			bubble(t, link, func(t *testing.T, client, server *chaniotest.Conn) {
				write(t, client, "hello world")
				require.NoError(t, end.end(client))
				read(t, server, "hello")
				never(t, server)
				write(t, server, "are you there?")
			})
		})
	}
}

func TestFaultsComeInTheirOrder(t *testing.T) {
	link := up(chaniotest.Path{Faults: []chaniotest.Fault{
		{Kind: chaniotest.Stall, At: 4, For: time.Second},
		{Kind: chaniotest.Reset, At: 4},
		{Kind: chaniotest.Stall, At: 2, For: time.Minute},
	}})
	bubble(t, link, func(t *testing.T, client, server *chaniotest.Conn) {
		start := time.Now()
		write(t, client, "hello")
		read(t, server, "he")
		read(t, server, "ll")
		require.Equal(t, time.Minute, time.Since(start))
		_, err := server.Read(make([]byte, 1))
		requireErrno(t, err, server, "read", syscall.ECONNRESET)
		require.Equal(t, time.Minute+time.Second, time.Since(start))
	})
}

func TestRandomLinksDifferBySeedAndOnlyByIt(t *testing.T) {
	faults := 0
	for seed := range uint64(200) {
		link := chaniotest.RandomLink(seed, 100)
		require.Equal(t, link, chaniotest.RandomLink(seed, 100))
		require.NotEqual(t, link, chaniotest.RandomLink(seed+1, 100))
		for _, p := range []chaniotest.Path{link.Up, link.Down} {
			for _, f := range p.Faults {
				faults++
				require.LessOrEqual(t, f.At, int64(100))
				require.NotContains(t, f.Kind.String(), "Kind")
			}
		}
	}
	require.Greater(t, faults, 50)
	require.Less(t, faults, 200)
}

func TestAnUnknownKindHasAString(t *testing.T) {
	require.Equal(t, "Kind(0)", chaniotest.Kind(0).String())
	require.Equal(t, "EOF Reset Stall", fmt.Sprint(chaniotest.EOF, chaniotest.Reset, chaniotest.Stall))
}
