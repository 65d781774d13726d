package sock

import (
	"syscall"
	"testing"

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

func TestAWakeUpWithoutProgressIsNoNewWait(t *testing.T) {
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
