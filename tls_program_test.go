package chanio_test

import (
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A program is another implementation of TLS, on the other end of a session.
type program struct {
	t      testing.TB
	in     io.WriteCloser
	out    chan string   // what it wrote, as it came; closed by its reader
	ended  chan struct{} // closed when it has exited
	unread string        // received from out and not yet expected
}

// startProgram runs a program until it ends or the test does. It skips the test
// if the program is not installed.
func startProgram(t testing.TB, name string, args ...string) *program {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(name + " is not installed")
	}
	cmd := exec.Command(path, args...)
	p := &program{t: t, out: make(chan string, 1000), ended: make(chan struct{})}
	p.in, err = cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = cmd.Stdout
	require.NoError(t, cmd.Start())
	go func() {
		defer close(p.ended)
		buf := make([]byte, 4096)
		for {
			n, err := out.Read(buf)
			if n > 0 {
				p.out <- string(buf[:n])
			}
			if err != nil {
				break
			}
		}
		close(p.out)
		cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		for range p.out { // or its reader would wait forever
		}
		<-p.ended
	})
	return p
}

// say writes a line to the program's input.
func (p *program) say(line string) {
	p.t.Helper()
	_, err := io.WriteString(p.in, line+"\n")
	require.NoError(p.t, err)
}

// expect waits until the program has written text, and returns everything
// before it.
func (p *program) expect(text string) (before string) {
	p.t.Helper()
	for {
		if before, after, ok := strings.Cut(p.unread, text); ok {
			p.unread = after
			return before
		}
		more, ok := await(p.t, p.out, text)
		require.True(p.t, ok, "the program ended without %q, with: %s", text, p.unread)
		p.unread += more
	}
}

// Done returns a channel that is closed when the program has ended.
func (p *program) Done() <-chan struct{} { return p.ended }
