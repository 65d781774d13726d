//go:build unix

package sock

import (
	"io"
	"net"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWaitingTakesNothing(t *testing.T) {
	near, far := tcpPair(t)
	rc := Of(near).RawConn()
	waiting := func() (yes bool) {
		require.NoError(t, rc.Control(func(fd uintptr) { yes = Waiting(int(fd)) }))
		return yes
	}
	if waiting() {
		t.Skip("it is not known without a read here")
	}
	_, err := io.WriteString(far, "x")
	require.NoError(t, err)
	require.Eventually(t, waiting, time.Minute, time.Millisecond)
	p := make([]byte, 2)
	n, err := near.Read(p)
	require.NoError(t, err)
	require.Equal(t, "x", string(p[:n]))
	require.False(t, waiting())
	require.NoError(t, far.Close())
	require.Eventually(t, waiting, time.Minute, time.Millisecond, "an end is something, too")
}

func TestWaitingLeavesAResetForTheReader(t *testing.T) {
	networks := []string{"tcp"}
	if runtime.GOOS == "linux" {
		networks = append(networks, "unix") // only there does the peer learn of unread input
	}
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "socket")
			}
			ln, err := net.Listen(network, address)
			require.NoError(t, err)
			defer ln.Close()
			near, err := net.Dial(network, ln.Addr().String())
			require.NoError(t, err)
			defer near.Close()
			far, err := ln.Accept()
			require.NoError(t, err)
			_, err = io.WriteString(near, "unread")
			require.NoError(t, err)
			require.NoError(t, far.Close())
			waiting := func() (yes bool) {
				require.NoError(t, Of(near).RawConn().Control(func(fd uintptr) { yes = Waiting(int(fd)) }))
				return yes
			}
			require.Eventually(t, waiting, time.Minute, time.Millisecond)
			require.True(t, waiting(), "it took nothing")
			_, err = near.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
		})
	}
}
