package readable

import (
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func pair(t *testing.T) (client, server *net.TCPConn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	s, err := ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func TestAwaitLeavesTheInputUnread(t *testing.T) {
	client, server := pair(t)
	rc, err := server.SyscallConn()
	require.NoError(t, err)
	require.False(t, Now(rc))
	done := make(chan error, 1)
	go func() { done <- Await(rc) }()
	_, err = client.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, <-done)
	if runtime.GOOS != "windows" {
		require.True(t, Now(rc))
	}
	buf := make([]byte, 10)
	n, err := server.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "hello", string(buf[:n]))
}

func TestTheEndOfTheStreamIsSomethingToRead(t *testing.T) {
	client, server := pair(t)
	rc, err := server.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, client.CloseWrite())
	require.NoError(t, Await(rc))
}

func TestADeadlineEndsTheWait(t *testing.T) {
	_, server := pair(t)
	rc, err := server.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, server.SetReadDeadline(time.Unix(1, 0)))
	require.ErrorIs(t, Await(rc), os.ErrDeadlineExceeded)
	require.NoError(t, server.Close())
	require.ErrorIs(t, Await(rc), net.ErrClosed)
}

func TestAResetIsLeftForTheRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it has an errno of its own for that")
	}
	client, server := pair(t)
	rc, err := server.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, client.SetLinger(0))
	require.NoError(t, client.Close())
	require.NoError(t, Await(rc))
	require.True(t, Now(rc))
	_, err = server.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
}
