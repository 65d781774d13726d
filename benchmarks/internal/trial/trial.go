// Package trial runs one trial of one implementation: it starts a server as a
// child process, puts load on it, and returns the measurements.
package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/load"
	"example.com/chanio/benchmarks/internal/process"
	"example.com/chanio/benchmarks/internal/report"
)

// A Trial says which server to start and how to load it.
type Trial struct {
	Job  string // of the load
	Impl string // of the server
	Load load.Config

	Threads int  // of the server that run Go code at a time; 0: GOMAXPROCS
	CPU     int  // to which server and load are pinned, with one thread; -1 for none
	Rate    int  // messages published a second (fanout)
	Publish bool // the latencies are those of publishing, and lagging members skip (multicast)
}

const (
	startup = 30 * time.Second     // that a server and a load may take in addition to the measuring
	session = 5 * time.Millisecond // for a handshake and an echo, on a slow machine
)

// Measure starts the server and runs the clients in a process of their own. If a
// client failed, it returns an error: the others did not measure what was asked
// for.
func (t *Trial) Measure(ctx context.Context) (*report.Report, error) {
	return t.measure(ctx, t.runApart)
}

// MeasureHere is Measure with the clients in this process.
func (t *Trial) MeasureHere(ctx context.Context) (*report.Report, error) {
	return t.measure(ctx, func(ctx context.Context, server *process.Child) (*report.Report, error) {
		c := t.Load
		c.ServerPID = server.PID()
		c.Collect = func() error {
			_, err := server.Command("gc")
			return err
		}
		if c.Endpoint.Net == endpoint.TLS {
			c.Endpoint.ClientTLS = endpoint.ClientTLS()
		}
		return load.Run(ctx, t.Job, c)
	})
}

func (t *Trial) measure(ctx context.Context, run func(context.Context, *process.Child) (*report.Report, error)) (*report.Report, error) {
	if t.Load.Clients < 1 || t.Load.Size < 1 || t.Rate < 1 && t.Job == "fanout" {
		return nil, errors.New("clients, messages and size must be positive")
	}
	ctx, cancel := context.WithTimeout(ctx, startup+time.Duration(t.Load.Clients)*session+t.Load.Warmup+t.Load.Length)
	defer cancel()
	server, err := t.start(ctx)
	if err != nil {
		return nil, err
	}
	r, err := run(ctx, server)
	if err == nil && t.Publish {
		r.Latency, err = published(server)
	}
	if stopped := server.Stop(); err == nil {
		err = stopped
	}
	if err == nil && r.Errors > 0 {
		err = fmt.Errorf("%d of %d clients failed: %s", r.Errors, t.Load.Clients, r.FirstError)
	}
	return r, err
}

// start starts the server on a free port of the loopback interface and enters
// its address.
func (t *Trial) start(ctx context.Context) (*process.Child, error) {
	job, port := t.Job, 0
	switch t.Job {
	case "idle", "churn":
		job = "echo"
	case "fanout":
		job = "multicast"
	}
	e := t.Load.Endpoint
	if job == "multicast" && e.Datagrams() {
		var err error
		if port, err = endpoint.FreeGroupPort(); err != nil {
			return nil, err
		}
	}
	args := append([]string{"serve", job, "-control", "-p", strconv.Itoa(port), "-impl", t.Impl}, t.flags()...)
	if t.Threads > 0 {
		args = append(args, "-t", strconv.Itoa(t.Threads))
	}
	if job == "multicast" {
		args = append(args, "-s", strconv.Itoa(t.Load.Size), "-c", strconv.Itoa(t.Load.Clients), "-m", strconv.Itoa(t.Rate))
	}
	if t.Job == "fanout" {
		args = append(args, "-stamp")
	}
	if t.Publish {
		args = append(args, "-time", "-drop")
	}
	child, err := process.Start(ctx, args...)
	if err != nil {
		return nil, err
	}
	t.Load.Endpoint.Address, err = child.ReadLine()
	return child, err
}

// flags returns the flags that server and load share.
func (t Trial) flags() []string {
	c := t.Load
	flags := []string{
		"-net", c.Endpoint.Net,
		"-framing", c.Framing,
		"-kernelbuffer", strconv.Itoa(c.Endpoint.KernelBuffer),
		fmt.Sprintf("-batch=%v", c.Batch),
		fmt.Sprintf("-deflate=%v", c.Endpoint.Deflate),
	}
	if t.CPU >= 0 {
		flags = append(flags, "-cpu", strconv.Itoa(t.CPU), "-t", "1")
	}
	return flags
}

func (t *Trial) runApart(ctx context.Context, server *process.Child) (*report.Report, error) {
	c := t.Load
	child, err := process.Start(ctx, append([]string{"load", t.Job, "-json",
		"-to", c.Endpoint.Address,
		"-pid", strconv.Itoa(server.PID()),
		"-client", c.Client,
		"-c", strconv.Itoa(c.Clients),
		"-m", strconv.Itoa(max(c.Messages, 1)),
		"-s", strconv.Itoa(c.Size),
		"-w", seconds(c.Warmup),
		"-z", seconds(c.Length),
		fmt.Sprintf("-resume=%v", c.Resume),
	}, t.flags()...)...)
	if err != nil {
		return nil, err
	}
	out, err := child.Output()
	if err != nil {
		return nil, err
	}
	r := new(report.Report)
	return r, json.Unmarshal(out, r)
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// published returns how long publishing a message took.
func published(server *process.Child) (*report.Percentiles, error) {
	line, err := server.Command("published")
	if err != nil {
		return nil, err
	}
	var p *report.Percentiles
	if err := json.Unmarshal([]byte(line), &p); err != nil {
		return nil, fmt.Errorf("the server answers %q", line)
	}
	return p, nil
}
