// Package child runs parts of a test in separate processes, for what must be
// killed or stopped, measured alone, or limited by the system. Only tests import
// it.
package child

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// partEnv names the part that a process plays.
const partEnv = "CHANIO_TEST_PART"

// Parts are the parts that child processes can play, by name. Each is a function
// that reads commands from the parent, one per line, and ends when there are no
// more.
type Parts map[string]func(t *testing.T, commands *bufio.Scanner)

// Play plays the part for which the process was started. It skips the test in a
// process that is not a child. A package whose tests call Start has one test
// that calls Play, named TestChild.
func Play(t *testing.T, parts Parts) {
	part, ok := os.LookupEnv(partEnv)
	if !ok {
		t.Skip("it runs as the child of other tests")
	}
	run := parts[part]
	require.NotNil(t, run, "there is no part %q", part)
	run(t, bufio.NewScanner(os.Stdin))
}

// Process is a child: a process of this test binary that plays a part.
type Process struct {
	t      testing.TB
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  *bufio.Scanner
	output strings.Builder // what was not an answer
}

// Start starts a child that plays part, with env added to the environment. A
// child still running when the test ends is killed. The child is in the calling
// thread's network namespace.
func Start(t testing.TB, part string, env ...string) *Process {
	t.Helper()
	p := &Process{t: t, cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-test.v")}
	p.cmd.Env = append(append(os.Environ(), partEnv+"="+part), env...)
	var err error
	p.stdin, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.cmd.Stderr = os.Stderr
	p.lines = bufio.NewScanner(stdout)
	require.NoError(t, p.cmd.Start())
	return p
}

const answerPrefix = "answer: "

// Answer sends a line to the parent.
func Answer(values ...any) { fmt.Println(answerPrefix + fmt.Sprint(values...)) }

// Send sends a command.
func (p *Process) Send(command string) {
	p.t.Helper()
	_, err := fmt.Fprintln(p.stdin, command)
	require.NoError(p.t, err)
}

// Ask sends a command, unless it is empty, and scans the next answer into into.
func (p *Process) Ask(command string, into ...any) {
	p.t.Helper()
	if command != "" {
		p.Send(command)
	}
	text, ok := p.Next()
	if !ok {
		require.FailNow(p.t, "the child gave no answer", fmt.Sprint(p.End(), "\n", p.output.String()))
	}
	_, err := fmt.Sscan(text, into...)
	require.NoError(p.t, err, text)
}

// Next returns the next answer. ok is false if the child has ended.
func (p *Process) Next() (text string, ok bool) {
	for p.lines.Scan() {
		if text, ok := strings.CutPrefix(p.lines.Text(), answerPrefix); ok {
			return text, true
		}
		fmt.Fprintln(&p.output, p.lines.Text())
	}
	return "", false
}

// Wait ends the child and requires that it passed.
func (p *Process) Wait() {
	p.t.Helper()
	require.NoError(p.t, p.End(), p.output.String())
}

// End ends the child, which may have been killed, and returns how that went.
func (p *Process) End() error {
	p.stdin.Close()
	for _, ok := p.Next(); ok; _, ok = p.Next() {
	}
	return p.cmd.Wait()
}

// Signal sends the child a signal, unless it has ended.
func (p *Process) Signal(sig os.Signal) { _ = p.cmd.Process.Signal(sig) }

// PID returns the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output returns what the child has printed besides answers.
func (p *Process) Output() string { return p.output.String() }
