package chanio_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// Between bind and the chmod that follows, the file's permissions must not be
// wider than they should be.
func TestSocketModeHoldsFromTheMomentTheFileIsThere(t *testing.T) {
	path := unixPath(t)
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer syscall.Close(fd)
	require.NoError(t, (&chanio.Options{SocketMode: 0o600}).RestrictSocket(fd))
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&^0o600)
}
