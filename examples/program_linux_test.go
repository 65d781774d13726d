package examples_test

import (
	"context"
	"io"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio/internal/test/programs"
)

// patience bounds how long one program runs. It is killed after that, and the
// test does not get what it waits for.
const patience = 60 * time.Second

// A program is a process that a test types into and reads from.
type program struct {
	*programs.Output
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

// start starts a command: one of ours by its name, or another program.
func start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	p := &program{t: t, cmd: exec.CommandContext(ctx, path(name), args...)}
	var err error
	p.stdin, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	p.Output = programs.Start(t, p.cmd, patience)
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil { // the test has failed
			p.cmd.Process.Kill()
			p.cmd.Wait()
		}
	})
	return p
}

// path returns the path of the program with that name.
func path(name string) string {
	if _, ours := built[name]; ours {
		return binaries + "/" + name
	}
	return name
}

// says types a line.
func (p *program) says(line string) { p.types(line + "\n") }

// types types text.
func (p *program) types(text string) {
	p.t.Helper()
	_, err := io.WriteString(p.stdin, text)
	require.NoError(p.t, err)
}

// interrupts presses Ctrl-C.
func (p *program) interrupts() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGINT))
}

// ends waits for the end of the program, checks its exit status, and returns
// the output that was not yet heard.
func (p *program) ends(status int) string {
	p.t.Helper()
	rest := p.Rest()
	p.stdin.Close()
	p.cmd.Wait() // ProcessState has the status
	require.Equal(p.t, status, p.cmd.ProcessState.ExitCode(), "%v: %s", p.cmd.Args, rest)
	return rest
}

// stops ends the input, which ends the program.
func (p *program) stops() {
	p.t.Helper()
	p.stdin.Close()
	p.ends(0)
}

// serve starts a server of ours and returns its port.
func serve(t *testing.T, name string, args ...string) (*program, string) {
	t.Helper()
	p := start(t, name, args...)
	return p, p.Hears(`^Listening on .*:([0-9]+)$`)[1]
}
