package trial

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/load"
	"example.com/chanio/benchmarks/internal/report"
	"example.com/chanio/benchmarks/internal/server"
)

// ChildCommand is the command of a child, which calls [Play].
const ChildCommand = "child"

// stopTimeout is how long a child may take to end after its standard input has.
const stopTimeout = 5 * time.Second

// A Child is another process of this same program, which serves calls of the
// methods of [Part]. It ends when its standard input does, so that it never
// outlives this process.
type Child struct {
	*rpc.Client
	cmd    *exec.Cmd
	stderr bytes.Buffer // a child writes there only when it fails
}

// pipes are a child's output and input. Closing them ends the input.
type pipes struct {
	io.Reader
	io.WriteCloser
}

// Start starts a child, which is killed when ctx ends. If it is pinned, it has
// only the last CPU.
func Start(ctx context.Context, pinned bool) (*Child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{exe, ChildCommand}
	if pinned {
		args = append([]string{"taskset", "-c", strconv.Itoa(runtime.NumCPU() - 1)}, args...)
	}
	c := &Child{cmd: exec.CommandContext(ctx, args[0], args[1:]...)}
	c.cmd.WaitDelay = stopTimeout
	c.cmd.Stderr = &c.stderr
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.Client = rpc.NewClient(pipes{stdout, stdin})
	return c, c.cmd.Start()
}

// Serve starts the server of c in the child and returns its address.
func (c *Child) Serve(config bench.Config) (address string, err error) {
	err = c.Call("Part.Serve", config, &address)
	return address, err
}

// Stop ends the child and returns an error if it had to be killed or failed.
func (c *Child) Stop() error {
	c.Close()
	kill := time.AfterFunc(stopTimeout, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	if err := c.cmd.Wait(); err != nil {
		const most = 400
		said := bytes.TrimSpace(c.stderr.Bytes())
		return fmt.Errorf("%w: %s", err, said[:min(len(said), most)])
	}
	return nil
}

// Play is a child's part: it serves calls over in and out until in ends.
func Play(ctx context.Context, in io.Reader, out io.WriteCloser) error {
	p := &Part{ctx: ctx}
	calls := rpc.NewServer()
	if err := calls.Register(p); err != nil {
		return err
	}
	calls.ServeConn(pipes{in, out})
	if p.server == nil {
		return nil
	}
	return p.server.Close()
}

// A Part has what a child does for its parent. Its methods have the form that
// package net/rpc calls.
type Part struct {
	ctx    context.Context // of the process
	server *server.Server  // if Serve was called
}

// Serve starts a server.
func (p *Part) Serve(c bench.Config, address *string) (err error) {
	if err = c.Apply(); err != nil {
		return err
	}
	if p.server, err = server.Start(c); err != nil {
		return err
	}
	*address = p.server.Addr
	return nil
}

// Load loads a server.
func (p *Part) Load(c bench.Config, r *report.Report) error {
	if err := c.Apply(); err != nil {
		return err
	}
	measured, err := load.Run(p.ctx, c, nil)
	if err == nil {
		*r = *measured
	}
	return err
}

// Collect collects the garbage and returns free memory to the system.
func (*Part) Collect(int, *int) error {
	debug.FreeOSMemory()
	return nil
}

// Published returns how long the server took to publish messages.
func (p *Part) Published(_ int, took *report.Percentiles) error {
	*took = p.server.Published.Percentiles()
	return nil
}
