package chanio

import (
	"net"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAWakeUpWithoutProgressDoesNotExtendWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
		require.NoError(t, err)
		defer syscall.Close(fds[0])
		defer syscall.Close(fds[1])

		s, _ := memSession(t, nil) // whose timers the writer uses
		w := &rawWriter{session: s, parts: [][]byte{make([]byte, 8<<20)}, waited: -1}
		start := time.Now()
		require.False(t, w.tryWrite(uintptr(fds[0])), "the kernel has no room")
		<-time.After(6 * time.Second)
		require.False(t, w.tryWrite(uintptr(fds[0])), "still none")
		<-s.Done()
		require.Equal(t, 10*time.Second, since(start))
		requireTimeout(t, s.Err())
	})
}

func TestProgressExtendsWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
		require.NoError(t, err)
		defer syscall.Close(fds[0])
		defer syscall.Close(fds[1])

		s, _ := memSession(t, nil)
		want := noise(8 << 20)
		w := &rawWriter{session: s, parts: [][]byte{want[:1<<20], want[1<<20 : 1<<20+1], nil, want[1<<20+1:]}, waited: -1}
		var got []byte
		for done := false; !done; {
			if done = w.tryWrite(uintptr(fds[0])); done {
				s.output.stall.end()
			}
			<-time.After(9 * time.Second)
			b := make([]byte, 1<<20)
			n, err := syscall.Read(fds[1], b)
			require.NoError(t, err)
			got = append(got, b[:n]...)
		}
		require.NoError(t, w.err)
		require.Equal(t, len(want), w.n)
		require.NoError(t, s.Err())
		syscall.Shutdown(fds[0], syscall.SHUT_WR)
		for {
			b := make([]byte, 1<<20)
			n, err := syscall.Read(fds[1], b)
			require.NoError(t, err)
			if n == 0 {
				break
			}
			got = append(got, b[:n]...)
		}
		require.Equal(t, want, got)
	})
}

// Somebody may have made the socket a blocking one, as os.File.Fd does. A read that
// waits in the kernel without the scheduler's knowledge would stop the program.
func TestASocketThatWasMadeBlockingHoldsNobodyUp(t *testing.T) {
	if raceEnabled {
		t.Skip("with the race detector the scheduler knows")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer peer.Close()
	conn, err := ln.Accept()
	require.NoError(t, err)
	rc, err := conn.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, rc.Control(func(fd uintptr) { err = syscall.SetNonblock(int(fd), false) }))
	require.NoError(t, err)

	s := NewSession(t.Context(), conn, &Options{WriteTimeout: 50 * time.Millisecond})
	runtime.GC() // stops all goroutines, and so waits for those that can't be stopped
	_, err = peer.Write([]byte("x"))
	require.NoError(t, err)
	m, _ := await(t, s.Recv(), "what the peer sent")
	require.Equal(t, "x", string(m))
	for s.Put(make([]byte, 10<<10)) == nil { // several go out together, uncopied
	}
	runtime.GC()
	awaitDone(t, s)
	requireTimeout(t, s.Err())
}
