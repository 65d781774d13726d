package examples_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds how long one program runs. It is killed after that, and the
// test does not get what it waits for.
const patience = 60 * time.Second

// A program is a process that a test types into and reads from.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	output *os.File
	unread []byte // printed, and not yet heard
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
	output, write, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { output.Close() })
	p.output = output
	p.cmd.Stdout, p.cmd.Stderr = write, write
	require.NoError(t, p.cmd.Start())
	write.Close()
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

// hears waits until the program prints text that matches pattern, in which ^
// and $ are the bounds of a line, and returns the submatches. What was printed
// up to there does not match again.
func (p *program) hears(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(`(?m)` + pattern)
	for {
		text := bytes.ReplaceAll(p.unread, []byte("\r\n"), []byte("\n"))
		if m := re.FindSubmatchIndex(text); m != nil && (m[1] < len(text) || pattern[len(pattern)-1] != '$') {
			var found []string
			for i := 0; i < len(m); i += 2 {
				found = append(found, string(text[m[i]:m[i+1]]))
			}
			p.unread = text[m[1]:]
			return found
		}
		if !p.read() {
			require.FailNow(p.t, "it ended without: "+pattern, "%v: %s", p.cmd.Args, p.unread)
		}
	}
}

// read adds the next output to unread. It reports false at the end.
func (p *program) read() bool {
	buf := make([]byte, 4<<10)
	n, err := p.output.Read(buf)
	p.unread = append(p.unread, buf[:n]...)
	return err == nil
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
	for p.read() {
	}
	p.stdin.Close()
	p.cmd.Wait() // ProcessState has the status
	require.Equal(p.t, status, p.cmd.ProcessState.ExitCode(), "%v: %s", p.cmd.Args, p.unread)
	return string(p.unread)
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
	return p, p.hears(`^Listening on .*:([0-9]+)$`)[1]
}
