package examples_test

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio/internal/test/programs"
)

// patience bounds each wait of a test.
const patience = 2 * time.Minute

// A program is a process, with everything that it starts, whose output a test
// reads.
type program struct {
	*programs.Output
	t   *testing.T
	cmd *exec.Cmd
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
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := &program{Output: programs.Start(t, cmd, patience), t: t, cmd: cmd}
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

// hears waits for a whole line that begins with text that matches pattern; see
// programs.Output.Hears.
func (p *program) hears(pattern string) []string {
	p.t.Helper()
	return p.Hears(pattern + `.*\n`)
}

// signal sends the process a signal.
func (p *program) signal(sig syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(sig))
}

// exits waits until the process has ended on its own, without an error.
// Processes that it has started may go on.
func (p *program) exits() {
	p.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	select {
	case err := <-ended:
		require.NoError(p.t, err, "%s", p.Unheard())
	case <-time.After(patience):
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		require.FailNow(p.t, "it does not end", "%v: %s", p.cmd.Args, p.Unheard())
	}
}

// signalTo sends a signal to a process that a program has started.
func signalTo(t *testing.T, pid string, sig syscall.Signal) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(n, sig))
}
