package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds each wait of a test.
const patience = 2 * time.Minute

// A program is a process, with everything that it starts, whose output a test
// reads.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	output *os.File
	unread []byte // printed, and not yet heard
}

// start starts a command: one of ours by its name, or another program by its path.
func start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	return startCommand(t, exec.Command(path(name), args...))
}

func path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(binaries, name)
}

func startCommand(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	output, write, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { output.Close() })
	require.NoError(t, output.SetReadDeadline(time.Now().Add(patience)))
	cmd.Stdout, cmd.Stderr = write, write
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	write.Close()
	p := &program{t: t, cmd: cmd, output: output}
	t.Cleanup(p.kill)
	return p
}

// kill ends what a failed test has left.
func (p *program) kill() {
	if !p.t.Failed() && p.cmd.ProcessState != nil {
		return
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	p.cmd.Wait() // an error if it was waited for
}

// hears waits until text that matches pattern is printed, in which ^ and $ are
// the bounds of a line, and returns the submatches. What was printed up to
// there does not match again.
func (p *program) hears(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(`(?m)` + pattern + `.*\n`)
	for {
		if m := re.FindSubmatchIndex(p.unread); m != nil {
			var found []string
			for i := 0; i < len(m); i += 2 {
				found = append(found, string(p.unread[m[i]:m[i+1]]))
			}
			p.unread = p.unread[m[1]:]
			return found
		}
		if err := p.read(); err != nil {
			require.FailNow(p.t, "it did not say: "+pattern, "%v: %v: %s", p.cmd.Args, err, p.unread)
		}
	}
}

// read adds the next output to unread.
func (p *program) read() error {
	buf := make([]byte, 4<<10)
	n, err := p.output.Read(buf)
	p.unread = append(p.unread, buf[:n]...)
	return err
}

// signal sends the process a signal.
func (p *program) signal(sig syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(sig))
}

// exits waits until the process has ended by itself, without an error.
// Processes that it has started may go on.
func (p *program) exits() {
	p.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	select {
	case err := <-ended:
		require.NoError(p.t, err, "%s", p.unread)
	case <-time.After(patience):
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		require.FailNow(p.t, "it does not end", "%v: %s", p.cmd.Args, p.unread)
	}
}

// silence waits until everything that could print has ended, and returns the
// output that was not yet heard.
func (p *program) silence() string {
	p.t.Helper()
	for {
		if err := p.read(); err != nil {
			require.NotErrorIs(p.t, err, os.ErrDeadlineExceeded, "%s", p.unread)
			return string(p.unread)
		}
	}
}

// signalTo sends a signal to a process that a program has started.
func signalTo(t *testing.T, pid string, sig syscall.Signal) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(n, sig))
}
