package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// stopTimeout is how long a child may take to end after its standard input has.
const stopTimeout = 5 * time.Second

// A Child is another process of this same program. It ends when its standard
// input does, so that it never outlives this process.
type Child struct {
	ctx    context.Context // kills the child when it ends
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer // a child writes there only when it fails
}

// Start runs this program with args. The child is killed when ctx ends.
func Start(ctx context.Context, args ...string) (*Child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &Child{ctx: ctx, cmd: exec.CommandContext(ctx, exe, args...)}
	c.cmd.WaitDelay = stopTimeout
	c.cmd.Stderr = &c.stderr
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.stdout = bufio.NewReader(stdout)
	return c, c.cmd.Start()
}

// PID returns the child's process id.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// ReadLine returns the next line that the child prints.
func (c *Child) ReadLine() (string, error) {
	line, err := c.stdout.ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = errors.New("the child process ended early")
	}
	return strings.TrimSuffix(line, "\n"), err
}

// Command sends the child a line and returns its answer, one line.
func (c *Child) Command(line string) (string, error) {
	if _, err := fmt.Fprintln(c.stdin, line); err != nil {
		return "", err
	}
	return c.ReadLine()
}

// Stop ends the child and returns an error if it had to be killed or failed.
func (c *Child) Stop() error {
	c.stdin.Close()
	kill := time.AfterFunc(stopTimeout, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	_, err := c.Output()
	return err
}

// Output returns everything that the child prints until it ends by itself. If it
// failed, the error says why it was killed or what it printed about it.
func (c *Child) Output() ([]byte, error) {
	out, err := io.ReadAll(c.stdout) // to its end, before Wait
	if ended := c.cmd.Wait(); ended != nil {
		const most = 400
		said := bytes.TrimSpace(c.stderr.Bytes())
		return nil, fmt.Errorf("%w: %s", errors.Join(ended, c.ctx.Err()), said[:min(len(said), most)])
	}
	return out, err
}
