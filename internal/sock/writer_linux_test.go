package sock

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// counted is a Flow that counts.
type counted struct{ waits, n int }

func (c *counted) Wait()          { c.waits++ }
func (c *counted) Progress(n int) { c.n += n }
func (c *counted) Over() bool     { return false }

// socketPair returns the descriptors of two non-blocking unix sockets.
func socketPair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	t.Cleanup(func() {
		syscall.Close(fds[0])
		syscall.Close(fds[1])
	})
	return fds[0], fds[1]
}

func TestAWakeUpWithoutProgressDoesNotRestartTheWait(t *testing.T) {
	a, _ := socketPair(t)
	f := new(counted)
	w := &Writer{flow: f, parts: [][]byte{make([]byte, 8<<20)}, waited: -1}
	require.False(t, w.tryWrite(uintptr(a)), "the kernel has no room")
	require.Equal(t, 1, f.waits)
	require.Positive(t, f.n)
	require.False(t, w.tryWrite(uintptr(a)), "still none")
	require.Equal(t, 1, f.waits)
}

func TestEachProgressBeginsANewWait(t *testing.T) {
	for _, own := range []bool{true, false} {
		a, b := socketPair(t)
		f := new(counted)
		want := noise(8 << 20)
		w := &Writer{flow: f, own: own, parts: [][]byte{want[:1<<20], want[1<<20 : 1<<20+1], nil, want[1<<20+1:]}, waited: -1}
		var got []byte
		read := func() int {
			p := make([]byte, 1<<20)
			n, err := syscall.Read(b, p)
			require.NoError(t, err)
			got = append(got, p[:n]...)
			return n
		}
		for waits := 1; !w.tryWrite(uintptr(a)); waits++ {
			require.Equal(t, waits, f.waits)
			require.Equal(t, w.n, f.n, "what the kernel has is told before the wait")
			read()
		}
		require.Nil(t, w.failure.Load())
		require.Equal(t, len(want), w.n)
		require.NoError(t, syscall.Shutdown(a, syscall.SHUT_WR))
		for read() > 0 {
		}
		require.Equal(t, want, got)
	}
}

func TestFailureWaitsForAWriteThatMayBeFailing(t *testing.T) {
	// The kernel reports a reset to one system call only. The reader, which sees
	// an end, must not miss that it was a write's.
	client, server := tcpPair(t)
	w := NewWriter(client, Of(client))
	require.NoError(t, server.SetLinger(0))
	require.NoError(t, server.Close())
	require.Eventually(t, func() bool { return Of(client).End().Failed }, 10*time.Second, time.Millisecond)

	now := &immediate{w: w}
	w.now = now
	failure := make(chan error, 1)
	now.tryFunc = func(fd uintptr) bool {
		_, err := send(int(fd), now.parts, now.own)
		require.Equal(t, syscall.ECONNRESET, err)
		asking := make(chan struct{})
		go func() {
			close(asking)
			failure <- w.Failure()
		}()
		<-asking
		for range 1000 { // time enough for it not to wait
			runtime.Gosched()
		}
		now.err = w.fail(err)
		return true
	}
	_, err := w.TryWrite([][]byte{[]byte("x")}, true)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.ErrorIs(t, <-failure, syscall.ECONNRESET)
}
