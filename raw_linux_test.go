package chanio_test

import (
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// Other code may have made the socket a blocking one, as os.File.Fd does. A
// read that waits in the kernel without the scheduler's knowledge would stop
// the program.
func TestASocketThatWasMadeBlockingDelaysNoOne(t *testing.T) {
	if raceEnabled {
		t.Skip("with the race detector the scheduler knows")
	}
	peer, conn := socketPair(t, "tcp")
	defer peer.Close()
	rc, err := conn.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, rc.Control(func(fd uintptr) { err = syscall.SetNonblock(int(fd), false) }))
	require.NoError(t, err)

	s := chanio.NewSession(t.Context(), conn, &chanio.Options{WriteTimeout: 50 * time.Millisecond})
	runtime.GC() // stops all goroutines, so it waits for those that can't be stopped
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
