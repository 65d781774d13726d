//go:build unix

package chanio_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/child"
)

// children are the parts that child processes play.
var children = child.Parts{
	"echo":           childEcho,
	"no descriptors": childWithoutDescriptors,
	"many sessions":  childWithManySessions,
}

// TestChild is not a test of its own: it is what a child process runs.
func TestChild(t *testing.T) { child.Play(t, children) }

// listenAs listens in the way that listeners has under that name.
func listenAs(t *testing.T, name string, o *chanio.Options) *chanio.Listener {
	for _, way := range listeners {
		if way.name == name {
			return way.listen(t, t.Context(), o)
		}
	}
	require.FailNow(t, "no such way to listen", name)
	return nil
}

// heap returns the most memory that the heap ever took from the system.
func heap() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapSys)
}

// childEcho echoes as the first handler that users write does, and answers
// "heap" with the growth of its heap.
func childEcho(t *testing.T, commands *bufio.Scanner) {
	l := listenAs(t, os.Getenv("CHANIO_TEST_LISTENER"), nil)
	before := heap()
	handled := serveEach(l, sendBack)
	child.Answer(l.Addr().Network(), " ", l.Addr())
	for commands.Scan() {
		child.Answer(heap() - before)
	}
	require.NoError(t, l.Close())
	await(t, handled, "the handlers")
}

func TestA64MiBEchoIsWholeAndTakesLittleMemoryWhileTheClientReadsSlowly(t *testing.T) {
	const size = 64 << 20
	for _, way := range listeners {
		t.Run(way.name, func(t *testing.T) {
			server := child.Start(t, "echo", "CHANIO_TEST_LISTENER="+way.name)
			var network, address string
			server.Ask("", &network, &address)
			conn, err := net.Dial(network, address)
			require.NoError(t, err)
			defer conn.Close()
			conn.(interface{ SetReadBuffer(int) error }).SetReadBuffer(1 << 16)
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(2*patience)))

			// Nothing is read before the writing stalls: by then every buffer on the
			// way is full.
			stalled := make(chan struct{})
			sent := make(chan []byte, 1)
			go func() { sent <- sendNoise(conn, size, stalled) }()
			await(t, stalled, "the writing to stall")
			var grown int64
			server.Ask("heap", &grown)
			require.Less(t, grown, int64(32<<20), "while nothing is read")

			sum := sha256.New()
			n, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{conn}, make([]byte, 8<<10))
			require.NoError(t, err)
			require.EqualValues(t, size, n)
			want, _ := await(t, sent, "the writing")
			require.Equal(t, want, sum.Sum(nil))
			server.Ask("heap", &grown)
			require.Less(t, grown, int64(32<<20))
			server.Wait()
		})
	}
}

// sendNoise writes size bytes and the end of stream, and returns their
// checksum, or nil if that fails. It closes stalled when nothing was taken for a
// second for the first time.
func sendNoise(conn net.Conn, size int, stalled chan<- struct{}) []byte {
	sum := sha256.New()
	block := noise(1 << 20)
	for n := 0; n < size; n += len(block) {
		block[0]++
		sum.Write(block)
		for rest := block; len(rest) > 0; {
			if stalled != nil {
				conn.SetWriteDeadline(time.Now().Add(time.Second))
			}
			n, err := conn.Write(rest)
			rest = rest[n:]
			switch {
			case err == nil:
			case stalled == nil || !errors.Is(err, os.ErrDeadlineExceeded):
				return nil
			case n == 0:
				conn.SetWriteDeadline(time.Time{})
				close(stalled)
				stalled = nil
			}
		}
	}
	conn.(halfCloser).CloseWrite()
	return sum.Sum(nil)
}

// childWithoutDescriptors accepts until it runs out of descriptors, checks what
// happens, frees them, and goes on.
func childWithoutDescriptors(t *testing.T, _ *bufio.Scanner) {
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", &chanio.Options{EventQueue: 1 << 12})
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	limit.Cur = 40
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	freed := make(chan struct{})
	handled := serveEach(l, func(s *chanio.Session) {
		select {
		case <-freed:
		case <-s.Done():
		}
		s.Close()
	})
	child.Answer(l.Addr())

	const tries = 6
	var failed []time.Time
	disconnected := 0
	for e := range l.Events() {
		switch e.Kind {
		case chanio.EventFailed:
			require.ErrorIs(t, e.Err, syscall.EMFILE)
			if failed = append(failed, e.Time); len(failed) == tries {
				close(freed)
			}
		case chanio.EventDisconnected:
			disconnected++
		}
		if disconnected == manyPeers {
			break
		}
	}
	for i := 1; i < tries; i++ {
		pause := chanio.AcceptPauseMin << (i - 1)
		require.GreaterOrEqual(t, failed[i].Sub(failed[i-1]), pause, "it does not spin")
	}
	require.NoError(t, l.Err())
	require.NoError(t, l.Close())
	await(t, handled, "the handlers")
}

const manyPeers = 100

func TestAcceptingGoesOnWhenDescriptorsAreFreeAgain(t *testing.T) {
	server := child.Start(t, "no descriptors")
	var address string
	server.Ask("", &address)
	var wg sync.WaitGroup
	for range manyPeers {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		defer conn.Close()
		wg.Go(func() {
			conn.SetDeadline(time.Now().Add(patience))
			_, err := io.ReadAll(conn)
			assert.NoError(t, err)
			conn.Close()
		})
	}
	wg.Wait()
	server.Wait()
}

// childWithManySessions serves echoes. It answers "count" with its open
// descriptors, goroutines and sessions, and "end" with the same after it has
// ended all sessions.
func childWithManySessions(t *testing.T, commands *bufio.Scanner) {
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
	var handlers sync.WaitGroup
	handled := make(chan struct{})
	go func() {
		defer close(handled)
		for s := range l.Sessions() {
			handlers.Go(func() { sendBack(s) })
		}
	}()
	child.Answer(l.Addr().Network(), " ", l.Addr())
	for commands.Scan() {
		if commands.Text() == "end" {
			l.DisconnectAll()
			handlers.Wait()
		}
		descriptors, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		child.Answer(len(descriptors), " ", runtime.NumGoroutine(), " ", l.Len())
	}
	require.NoError(t, l.Close())
	await(t, handled, "the accepting")
}

func TestTenThousandSessionsLeaveNothing(t *testing.T) {
	const many = 10_000
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("there is no way to count descriptors")
	}
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if limit.Cur < many+500 { // Go has raised the limit to its maximum
		t.Skipf("only %d descriptors", limit.Cur)
	}
	server := child.Start(t, "many sessions")
	var network, address string
	server.Ask("", &network, &address)
	var descriptors, goroutines, sessions int
	server.Ask("count", &descriptors, &goroutines, &sessions)

	conns := make([]net.Conn, many)
	defer func() {
		for _, conn := range conns {
			if conn != nil {
				conn.Close()
			}
		}
	}()
	for i := range conns {
		var err error
		conns[i], err = net.Dial(network, address)
		require.NoError(t, err)
		conns[i].SetDeadline(time.Now().Add(patience))
		_, err = conns[i].Write([]byte("x"))
		require.NoError(t, err)
	}
	for _, conn := range conns {
		conn.SetDeadline(time.Now().Add(patience))
		_, err := io.ReadFull(conn, make([]byte, 1))
		require.NoError(t, err)
	}
	var d, g, s int
	server.Ask("count", &d, &g, &s)
	require.Equal(t, many, s)
	require.GreaterOrEqual(t, d, descriptors+many)
	const waiting = 1 // the listener waits for first inputs in one goroutine, through one descriptor
	require.LessOrEqual(t, d, descriptors+waiting+many, "a session has one")
	// The runtime may be running some of the sessions' timers at this moment.
	for deadline := time.Now().Add(patience); g > goroutines+waiting+3*many && time.Now().Before(deadline); {
		server.Ask("count", &d, &g, &s)
	}
	require.LessOrEqual(t, g, goroutines+waiting+3*many, "reader, writer and handler")

	server.Ask("end", &d, &g, &s)
	require.Zero(t, s)
	require.LessOrEqual(t, d, descriptors+waiting)
	require.InDelta(t, goroutines, g, 20, "some may be about to end")
	server.Wait()
}

func TestARestartedServerCanServeItsPeersAgain(t *testing.T) {
	// The server restarts in the middle of traffic, on a real port, many times.
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := anyAddress(t, network)
			l := listenOn(t, t.Context(), network, address, nil)
			handled := serveEach(l, sendBack)
			c := chanio.Connect(t.Context(), network, l.Addr().String(), &chanio.Options{Backoff: chanio.Backoff{Min: time.Microsecond, Max: time.Millisecond}})
			for range 30 {
				s, ok := await(t, c.Sessions(), "a session")
				require.True(t, ok)
				if s.Put([]byte("x")) != nil {
					continue // of the server before the restart
				}
				if _, ok := await(t, s.Recv(), "the echo"); ok {
					require.NoError(t, l.Restart(context.Background()))
				}
				s.Close()
			}
			require.NoError(t, c.Close())
			require.NoError(t, l.Close())
			await(t, handled, "the handlers")
		})
	}
}
