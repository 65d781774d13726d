//go:build unix

package sock

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWaitingTakesNothing(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	near, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer near.Close()
	far, err := ln.Accept()
	require.NoError(t, err)
	defer far.Close()
	rc := Of(near).RawConn()
	waiting := func() (yes bool) {
		require.NoError(t, rc.Control(func(fd uintptr) { yes = Waiting(int(fd)) }))
		return yes
	}
	if waiting() {
		t.Skip("it is not known without a read here")
	}
	_, err = io.WriteString(far, "x")
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
