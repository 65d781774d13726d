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
	if err != nil {
		return "", c.failure(err)
	}
	return strings.TrimSuffix(line, "\n"), nil
}

// Command sends the child a line and returns its answer, one line.
func (c *Child) Command(line string) (string, error) {
	if _, err := fmt.Fprintln(c.stdin, line); err != nil {
		return "", c.failure(err)
	}
	return c.ReadLine()
}

// Output returns everything that the child prints until it ends by itself.
func (c *Child) Output() ([]byte, error) {
	out, err := io.ReadAll(c.stdout)
	if werr := c.cmd.Wait(); werr != nil {
		return nil, c.explain(werr)
	}
	return out, err
}

// Stop ends the child and returns an error if it had to be killed or failed.
func (c *Child) Stop() error {
	c.stdin.Close()
	kill := time.AfterFunc(stopTimeout, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	_, _ = io.Copy(io.Discard, c.stdout) // Wait must not be called before reading has ended
	if err := c.cmd.Wait(); err != nil {
		return c.explain(err)
	}
	return nil
}

// failure ends a child that stopped answering, and returns why it stopped.
func (c *Child) failure(err error) error {
	if stopped := c.Stop(); stopped != nil {
		return stopped
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the child process ended early")
	}
	return err
}

// explain adds to err why the child was killed or what it last printed. It is
// called after Wait.
func (c *Child) explain(err error) error {
	if cause := c.ctx.Err(); cause != nil {
		return fmt.Errorf("%w: %w", err, cause)
	}
	said := bytes.TrimSpace(c.stderr.Bytes())
	if len(said) == 0 {
		return err
	}
	const most = 400
	said = said[:min(len(said), most)]
	return fmt.Errorf("%w: %s", err, said)
}
