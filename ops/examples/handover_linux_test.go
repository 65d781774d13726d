package examples_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// inside is how many clients are in the middle of a conversation while the
// processes change.
const inside = 200

// dialTo returns a dialer of a plain echo server.
func dialTo(network, address string) dialer {
	return func() (net.Conn, error) { return net.Dial(network, address) }
}

func TestClientsDoNotNoticeAHotRestart(t *testing.T) {
	old := start(t, "hot_restart", "-listen", "127.0.0.1:0")
	address := old.hears(`^Serving on (\S+) as process \d+`)[1]
	dial := dialTo("tcp", address)
	clients := gather(t, inside, dial)
	old.signal(syscall.SIGHUP)
	next := old.hears(`^Serving on (\S+) as process (\d+)`)
	require.Equal(t, address, next[1])
	old.hears(`^Draining, with 2\d\d sessions`)
	clients.leave(t)
	old.exits()

	require.NoError(t, visitOnce(dial), "the new process serves alone")
	signalTo(t, next[2], syscall.SIGTERM)
	old.hears(`^Draining`)
	require.Empty(t, old.Rest())
}

// A restart to a program that cannot run, or that ends before it is ready, is
// refused, and the current process goes on.
func TestAHotRestartThatFailsChangesNothing(t *testing.T) {
	for _, broken := range brokenPrograms {
		t.Run(broken.name, func(t *testing.T) {
			binary := copyOf(t, "hot_restart")
			p := start(t, binary, "-listen", "127.0.0.1:0")
			dial := dialTo("tcp", p.hears(`^Serving on (\S+)`)[1])
			clients := gather(t, 10, dial)
			replace(t, binary, broken.content)
			p.signal(syscall.SIGHUP)
			p.hears(`^hot_restart: no restart: `)
			clients.leave(t)
			p.signal(syscall.SIGTERM)
			p.exits()
			p.Rest() // nothing that it started is left
		})
	}
}

// A restart is refused while the process of the last one drains: by that process
// and by the new one. Once it has ended, there can be another.
func TestASecondHotRestartWaitsForTheFirstProcessToEnd(t *testing.T) {
	old := start(t, "hot_restart", "-listen", "127.0.0.1:0")
	dial := dialTo("tcp", old.hears(`^Serving on (\S+)`)[1])
	clients := gather(t, 10, dial)
	old.signal(syscall.SIGHUP)
	next := old.hears(`^Serving on \S+ as process (\d+)`)[1]
	old.hears(`^Draining`)
	old.signal(syscall.SIGHUP)
	old.hears(`^hot_restart: no restart: `)
	signalTo(t, next, syscall.SIGHUP)
	old.hears(`^hot_restart: no restart: `)
	clients.leave(t)
	old.exits()

	third := ""
	for third == "" { // a moment may pass before the new process sees that the old one has gone
		signalTo(t, next, syscall.SIGHUP)
		third = old.hears(`^(?:Serving on \S+ as process (\d+)|hot_restart: no restart: )`)[1]
	}
	old.hears(`^Draining`)
	require.NoError(t, visitOnce(dial))
	signalTo(t, third, syscall.SIGTERM)
	old.hears(`^Draining`)
	require.Empty(t, old.Rest())
}

// brokenPrograms are newer versions of a program that do not work.
var brokenPrograms = []struct{ name, content string }{
	{"it cannot run", "no program"},
	{"it ends at once, with an error", "#!/bin/sh\nexit 1\n"},
	{"it ends at once, without an error", "#!/bin/sh\n"},
}

// copyOf returns the path of a copy of one of our programs, which a test may
// replace.
func copyOf(t *testing.T, name string) (path string) {
	t.Helper()
	program, err := os.ReadFile(filepath.Join(binaries, name))
	require.NoError(t, err)
	path = filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, program, 0o700))
	return path
}

// replace replaces a program's file, as an upgrade would.
func replace(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.Remove(path)) // it runs: it can't be written to
	require.NoError(t, os.WriteFile(path, []byte(content), 0o700))
}

func TestANewProcessTakesOverSystemdsSocketsUnnoticed(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			socket, address := systemdSocket(t, network)
			dial := dialTo(network, address)
			old := startActivated(t, socket)
			old.hears(`^Serving on `)
			clients := gather(t, inside, dial)
			next := startActivated(t, socket)
			next.hears(`^Serving on `)
			old.signal(syscall.SIGTERM)
			old.hears(`^Draining, with \d+ sessions`)
			clients.leave(t)
			old.exits()

			require.NoError(t, visitOnce(dial), "the new process serves alone")
			next.signal(syscall.SIGTERM)
			next.exits()
			conn, err := dial() // the next process would serve it: systemd keeps the socket
			require.NoError(t, err)
			require.NoError(t, conn.Close())
		})
	}
}

// systemdSocket plays systemd: it returns a listening socket and its address.
func systemdSocket(t *testing.T, network string) (socket *os.File, address string) {
	t.Helper()
	address = "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "socket")
	}
	ln, err := net.Listen(network, address)
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	raw, err := ln.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	// This is a duplicate, and not ln's File: passed on, that would make the
	// socket block for all processes that share it.
	require.NoError(t, raw.Control(func(fd uintptr) {
		duplicate, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		require.NoError(t, err)
		socket = os.NewFile(uintptr(duplicate), "socket")
	}))
	t.Cleanup(func() { socket.Close() })
	return socket, ln.Addr().String()
}

// startActivated starts the example as systemd would: see sd_listen_fds(3).
func startActivated(t *testing.T, socket *os.File) *program {
	t.Helper()
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0"`, path("socket_activation"))
	cmd.ExtraFiles = []*os.File{socket} // the first one has number 3
	return startCommand(t, cmd)
}

// systemd-socket-activate listens, and becomes the program when a client
// connects.
func TestSystemdSocketActivateStartsTheProgramThatDrainsAtItsEnd(t *testing.T) {
	activate := need(t, "systemd-socket-activate", "systemd")
	file := filepath.Join(t.TempDir(), "socket")
	p := start(t, activate, "--listen="+file, path("socket_activation"))
	p.hears(`Listening on `)
	dial := dialTo("unix", file)
	clients := gather(t, inside, dial) // the first of them starts it
	p.hears(`^Serving on ` + file + ` as process ` + fmt.Sprint(p.cmd.Process.Pid))
	clients.stopVisits(t)
	p.signal(syscall.SIGTERM)
	p.hears(fmt.Sprintf(`^Draining, with %d sessions`, inside))
	clients.leave(t)
	p.exits()
}

func TestWithoutSocketsSocketActivationSaysSo(t *testing.T) {
	p := start(t, "socket_activation")
	p.hears(`^socket_activation: no sockets: `)
	require.Error(t, p.cmd.Wait())
}
