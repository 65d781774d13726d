//go:build unix

package chanio_test

import (
	"context"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// An old listener closes, in each way, after another one has taken over its
// name.
func TestClosingAUnixListenerLeavesTheFileOfItsSuccessor(t *testing.T) {
	for _, test := range []struct {
		name   string
		listen func(t *testing.T, path string) *chanio.Listener
	}{
		{"Listen", func(t *testing.T, path string) *chanio.Listener { return listenOn(t, t.Context(), "unix", path, nil) }},
		{"Serve", func(t *testing.T, path string) *chanio.Listener {
			ln, err := net.Listen("unix", path)
			require.NoError(t, err)
			return chanio.Serve(t.Context(), ln, nil)
		}},
	} {
		for _, end := range []struct {
			name string
			end  func(t *testing.T, l *chanio.Listener)
		}{
			{"Close", func(t *testing.T, l *chanio.Listener) { require.NoError(t, l.Close()) }},
			{"Shutdown", func(t *testing.T, l *chanio.Listener) { require.NoError(t, l.Shutdown(t.Context())) }},
		} {
			t.Run(test.name+"/"+end.name, func(t *testing.T) {
				path := unixPath(t)
				old := test.listen(t, path)
				require.NoError(t, os.Remove(path))
				successor := test.listen(t, path)
				end.end(t, old)
				require.FileExists(t, path)
				requireListenerAnswers(t, successor)
				require.NoError(t, successor.Close())
				require.NoFileExists(t, path)
			})
		}
	}
}

func TestARestartedUnixListenerLeavesTheFileOfItsSuccessor(t *testing.T) {
	path := unixPath(t)
	old := listenOn(t, t.Context(), "unix", path, nil)
	require.NoError(t, os.Remove(path))
	successor := listenOn(t, t.Context(), "unix", path, nil)
	require.ErrorIs(t, old.Restart(t.Context()), chanio.ErrAddressInUse)
	requireListenerAnswers(t, successor)
}

func TestKeepSocketLeavesTheFileAndTheNextListenerReplacesIt(t *testing.T) {
	path := unixPath(t)
	o := &chanio.Options{KeepSocket: true}
	l := listenOn(t, t.Context(), "unix", path, o)
	require.NoError(t, l.Restart(t.Context()))
	require.NoError(t, l.Close())
	require.FileExists(t, path)
	again := listenOn(t, t.Context(), "unix", path, o)
	requireListenerAnswers(t, again)

	ln, err := net.Listen("unix", unixPath(t))
	require.NoError(t, err)
	served := chanio.Serve(t.Context(), ln, o)
	require.NoError(t, served.Close())
	require.FileExists(t, ln.Addr().String())
}

func TestSocketModeOverridesTheUmask(t *testing.T) {
	for _, mode := range []fs.FileMode{0o600, 0o666, 0o660} {
		path := unixPath(t)
		l := listenOn(t, t.Context(), "unix", path, &chanio.Options{SocketMode: mode})
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm())
		require.NoError(t, l.Restart(t.Context()))
		info, err = os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), "after a restart")
		requireListenerAnswers(t, l)
	}
	_, err := chanio.Listen(t.Context(), "unix", "@chanio-test", &chanio.Options{SocketMode: 0o600})
	require.ErrorContains(t, err, `chanio: option SocketMode: "@chanio-test" has no file`)
}

func TestControlSeesTheSocketBeforeItIsBoundAndItsErrorFailsTheCall(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = unixPath(t)
			}
			called := 0
			o := &chanio.Options{Control: func(_, address string, c syscall.RawConn) error {
				called++
				var err error
				require.NoError(t, c.Control(func(fd uintptr) {
					err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 40960)
				}))
				return err
			}}
			l := listenOn(t, t.Context(), network, address, o)
			require.Equal(t, 1, called)
			require.NoError(t, l.Restart(t.Context()))
			require.Equal(t, 2, called, "a restart makes another socket")

			_, err := chanio.Listen(context.Background(), network, address, &chanio.Options{Control: func(string, string, syscall.RawConn) error { return errTest }})
			require.ErrorIs(t, err, errTest)
		})
	}
}
