package chaniotest_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio/chaniotest"
)

// bubble runs f in a synctest bubble, with both ends of a connection.
func bubble(t *testing.T, link *chaniotest.Link, f func(t *testing.T, client, server *chaniotest.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, server := chaniotest.Pipe(link)
		defer client.Close()
		defer server.Close()
		f(t, client, server)
	})
}

// up returns a link with p on the way up, and down one with p on the way down.
func up(p chaniotest.Path) *chaniotest.Link { return &chaniotest.Link{Up: p} }

func down(p chaniotest.Path) *chaniotest.Link { return &chaniotest.Link{Down: p} }

// write writes p, all of which must be accepted.
func write(t *testing.T, c io.Writer, p string) {
	t.Helper()
	n, err := io.WriteString(c, p)
	require.NoError(t, err)
	require.Equal(t, len(p), n)
}

// read reads once, and requires that the result is want.
func read(t *testing.T, c io.Reader, want string) {
	t.Helper()
	p := make([]byte, 1<<16)
	n, err := c.Read(p)
	require.NoError(t, err)
	require.Equal(t, want, string(p[:n]))
}

// requireErrno checks that err is what package net returns for errno.
func requireErrno(t *testing.T, err error, c net.Conn, op string, errno syscall.Errno) {
	t.Helper()
	require.Equal(t, &net.OpError{
		Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, errno),
	}, err)
}

// never requires that a read waits forever.
func never(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(1000*time.Hour)))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestBytesArriveAfterLatency(t *testing.T) {
	for _, test := range []struct {
		name string
		link *chaniotest.Link
		both time.Duration // there and back
	}{
		{"none", nil, 0},
		{"up", up(chaniotest.Path{Latency: time.Second}), time.Second},
		{"down", down(chaniotest.Path{Latency: time.Second}), time.Second},
		{"both", &chaniotest.Link{
			Up: chaniotest.Path{Latency: time.Second}, Down: chaniotest.Path{Latency: 2 * time.Second},
		}, 3 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, test.link, func(t *testing.T, client, server *chaniotest.Conn) {
				start := time.Now()
				write(t, client, "ping")
				require.Zero(t, time.Since(start), "a buffer takes it at once")
				read(t, server, "ping")
				write(t, server, "pong")
				read(t, client, "pong")
				require.Equal(t, test.both, time.Since(start))
				client.CloseWrite()
				_, err := server.Read(make([]byte, 1))
				require.Equal(t, io.EOF, err)
				server.Close()
				_, err = client.Read(make([]byte, 1))
				require.Equal(t, io.EOF, err)
				require.Equal(t, 2*test.both, time.Since(start), "and so does the end of the stream")
			})
		})
	}
}

func TestJitterKeepsTheOrderAndItsBound(t *testing.T) {
	link := up(chaniotest.Path{Latency: time.Second, Jitter: time.Second, Fragment: 3})
	bubble(t, link, func(t *testing.T, client, server *chaniotest.Conn) {
		start := time.Now()
		want := noise(1000)
		write(t, client, string(want))
		client.CloseWrite()
		times := map[time.Duration]bool{}
		var got []byte
		for p := make([]byte, 100); ; {
			n, err := server.Read(p)
			times[time.Since(start)] = true
			got = append(got, p[:n]...)
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
		}
		require.Equal(t, want, got)
		require.Greater(t, len(times), 3)
		for d := range times {
			require.GreaterOrEqual(t, d, time.Second)
			require.LessOrEqual(t, d, 2*time.Second)
		}
	})
}

func TestBandwidthPacesTheBytes(t *testing.T) {
	for _, test := range []struct {
		bandwidth, bytes int
		want             time.Duration
	}{
		{1, 5, 5 * time.Second},
		{1000, 10_000, 10 * time.Second},
		{100_000, 100_000, time.Second},
	} {
		t.Run(fmt.Sprint(test.bandwidth), func(t *testing.T) {
			bubble(t, up(chaniotest.Path{Bandwidth: test.bandwidth}), func(t *testing.T, client, server *chaniotest.Conn) {
				start := time.Now()
				go func() {
					client.Write(noise(test.bytes))
					client.CloseWrite()
				}()
				_, err := io.ReadFull(server, make([]byte, 1))
				require.NoError(t, err)
				require.LessOrEqual(t, time.Since(start), max(time.Second/time.Duration(test.bandwidth), 10*time.Millisecond),
					"it trickles, and does not come in one lump")
				n, err := io.Copy(io.Discard, server)
				require.NoError(t, err)
				require.EqualValues(t, test.bytes-1, n)
				require.InDelta(t, test.want, time.Since(start), float64(test.want/100))
			})
		})
	}
}

// The same seed cuts at the same bytes, whichever end reads or writes, and in
// any sizes.
func TestASeedCutsTheSameBytes(t *testing.T) {
	cuts := func(seed uint64, writes int) (ends []int) {
		link := up(chaniotest.Path{Fragment: 10})
		link.Seed = seed
		client, server := chaniotest.Pipe(link)
		defer server.Close()
		for rest := noise(1000); len(rest) > 0; rest = rest[min(writes, len(rest)):] {
			client.Write(rest[:min(writes, len(rest))])
		}
		client.Close()
		end := 0
		for p := make([]byte, 100); ; {
			n, err := server.Read(p)
			if err != nil {
				return ends
			}
			assert.LessOrEqual(t, n, 10)
			end += n
			ends = append(ends, end)
		}
	}
	want := cuts(1, 1000)
	require.Equal(t, 1000, want[len(want)-1])
	require.Greater(t, len(want), 120)
	for _, writes := range []int{1, 7, 100} {
		require.Equal(t, want, cuts(1, writes))
	}
	require.NotEqual(t, want, cuts(2, 1000))
}

func TestTheTwoDirectionsAreCutDifferently(t *testing.T) {
	path := chaniotest.Path{Fragment: 1000}
	bubble(t, &chaniotest.Link{Up: path, Down: path}, func(t *testing.T, client, server *chaniotest.Conn) {
		p := noise(1000)
		write(t, client, string(p))
		write(t, server, string(p))
		n, err := server.Read(p)
		require.NoError(t, err)
		m, err := client.Read(p)
		require.NoError(t, err)
		require.NotEqual(t, n, m)
	})
}

func TestAWriterWaitsForRoomInTheBuffer(t *testing.T) {
	for _, test := range []struct {
		name string
		path chaniotest.Path
		want int
	}{
		{"64 KiB by default", chaniotest.Path{}, 64 << 10},
		{"one byte", chaniotest.Path{Buffer: 1}, 1},
		{"after a stall", chaniotest.Path{Buffer: 100, Faults: []chaniotest.Fault{{Kind: chaniotest.Stall, At: 10}}}, 100},
		{"under way", chaniotest.Path{Buffer: 100, Latency: 24 * time.Hour}, 100},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, up(test.path), func(t *testing.T, client, server *chaniotest.Conn) {
				p := noise(test.want + 1000)
				require.NoError(t, client.SetWriteDeadline(time.Now().Add(time.Second)))
				n, err := client.Write(p)
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				require.Equal(t, test.want, n, "n is what was taken")

				require.NoError(t, client.SetWriteDeadline(time.Time{}))
				if test.path.Faults != nil {
					return
				}
				go func() {
					client.Write(p[n:])
					client.Close()
				}()
				got, err := io.ReadAll(server)
				require.NoError(t, err)
				require.True(t, bytes.Equal(p, got))
			})
		})
	}
}

func TestWithoutABufferAWriteWaitsForReads(t *testing.T) {
	link := up(chaniotest.Path{Buffer: -1, Latency: time.Second})
	bubble(t, link, func(t *testing.T, client, server *chaniotest.Conn) {
		require.NoError(t, client.SetWriteDeadline(time.Now().Add(time.Minute)))
		n, err := client.Write([]byte("nobody asks for it"))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Zero(t, n)
		require.NoError(t, server.SetReadDeadline(time.Now().Add(time.Minute)))
		_, err = server.Read(make([]byte, 100))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, client.SetWriteDeadline(time.Now().Add(time.Minute)))
		n, err = client.Write([]byte("a Read asked for it, and has gone"))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Zero(t, n)
		require.NoError(t, client.SetWriteDeadline(time.Time{}))
		require.NoError(t, server.SetReadDeadline(time.Time{}))

		written := make(chan struct{})
		go func() {
			defer close(written)
			client.Write([]byte("hello"))
			client.Write([]byte("again"))
		}()
		p := make([]byte, 3)
		for _, want := range []string{"hel", "lo", "aga"} {
			start := time.Now()
			n, err = server.Read(p)
			require.NoError(t, err)
			require.Equal(t, want, string(p[:n]), "a Read takes from one Write")
			require.Equal(t, time.Second, time.Since(start))
			synctest.Wait()
			select {
			case <-written:
				require.Fail(t, "the rest was not asked for")
			default:
			}
		}
		read(t, server, "in")
		<-written
	})
}

func TestConcurrentWritesStayWhole(t *testing.T) {
	bubble(t, up(chaniotest.Path{Buffer: 7}), func(t *testing.T, client, server *chaniotest.Conn) {
		const size = 100
		for _, c := range "abc" {
			go client.Write(bytes.Repeat([]byte(string(c)), size))
		}
		for range 3 {
			p := make([]byte, size)
			_, err := io.ReadFull(server, p)
			require.NoError(t, err)
			require.Equal(t, bytes.Repeat(p[:1], size), p)
		}
	})
}
