package programs

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An Output is what a program prints, as a test reads it.
type Output struct {
	t      testing.TB
	cmd    *exec.Cmd
	pipe   *os.File
	unread []byte // printed, and not yet heard
}

// Start starts cmd and returns what it and the processes that it starts print on
// standard output and standard error. Reading fails after patience.
func Start(t testing.TB, cmd *exec.Cmd, patience time.Duration) *Output {
	t.Helper()
	pipe, write, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { pipe.Close() })
	require.NoError(t, pipe.SetReadDeadline(time.Now().Add(patience)))
	cmd.Stdout, cmd.Stderr = write, write
	require.NoError(t, cmd.Start())
	write.Close()
	return &Output{t: t, cmd: cmd, pipe: pipe}
}

// Hears waits until text that matches pattern is printed, in which ^ and $ are
// the bounds of a line, and returns the submatches. What was printed up to there
// does not match again.
func (o *Output) Hears(pattern string) []string {
	o.t.Helper()
	re := regexp.MustCompile(`(?m)` + pattern)
	for {
		text := bytes.ReplaceAll(o.unread, []byte("\r\n"), []byte("\n"))
		if m := re.FindSubmatchIndex(text); m != nil && (m[1] < len(text) || pattern[len(pattern)-1] != '$') {
			var found []string
			for _, group := range re.FindSubmatch(text) {
				found = append(found, string(group)) // empty if it did not take part
			}
			o.unread = text[m[1]:]
			return found
		}
		if err := o.read(); err != nil {
			require.FailNow(o.t, "it did not print: "+pattern, "%v: %v: %s", o.cmd.Args, err, o.unread)
		}
	}
}

// Rest waits until all processes that could print have ended, and returns what
// they printed and the test has not heard.
func (o *Output) Rest() string {
	o.t.Helper()
	for {
		if err := o.read(); err != nil {
			require.NotErrorIs(o.t, err, os.ErrDeadlineExceeded, "%v: %s", o.cmd.Args, o.unread)
			return o.Unheard()
		}
	}
}

// Unheard returns what was read and not heard.
func (o *Output) Unheard() string { return string(o.unread) }

// read adds the next output to unread.
func (o *Output) read() error {
	buf := make([]byte, 4<<10)
	n, err := o.pipe.Read(buf)
	o.unread = append(o.unread, buf[:n]...)
	return err
}
