// Benchmarks measures chanio's servers and clients, and those of others, with
// the scenarios and the report of CppServer's programs:
//
//	benchmarks serve echo -net tcp -impl std
//	benchmarks load echo -net tcp -c 100 -m 1000 -s 32 -z 10
//
// Run it without arguments for the list of its commands.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/trial"
)

// A command is a subcommand of the program. Its job is the first argument after
// it, one of jobs, or without those its name.
type command struct {
	name   string
	jobs   []string
	does   string
	config bench.Config // the defaults of its flags
	run    func(ctx context.Context, std streams, c bench.Config) error
}

// streams are a command's outputs.
type streams struct {
	out io.Writer // results
	err io.Writer // usage and progress
}

// commands are those with the flags of configFlags.
func commands() []command {
	return []command{
		{"serve", []string{"echo", "multicast", "fanout", "redis"}, "run one server until Ctrl-C", bench.Config{Clients: 1}, serve},
		{"load", []string{"echo", "multicast", "fanout", "churn"}, "run clients against a server and report",
			bench.Config{Clients: 100, Messages: 1000, Length: 10 * time.Second}, runLoad},
		{"idle", nil, "measure the memory of idle sessions", bench.Config{Clients: 10_000, Messages: 1}, measure},
		{"churn", nil, "measure how fast connections come and go", bench.Config{Clients: 16, Messages: 1, Length: 3 * time.Second}, measure},
		{"fanout", nil, "measure the time until the last member has a message",
			bench.Config{Clients: 1000, Messages: 50, Length: 3 * time.Second}, measure},
	}
}

// errUsage reports bad arguments that have already been explained.
var errUsage = errors.New("bad arguments")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, streams{os.Stdout, os.Stderr}, os.Args[1:]); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, std streams, args []string) error {
	var name string
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch name {
	case "compare":
		return runCompare(ctx, std, args)
	case trial.ChildCommand:
		return trial.Play(ctx, os.Stdin, os.Stdout)
	}
	i := slices.IndexFunc(commands(), func(c command) bool { return c.name == name })
	if i < 0 {
		usage(std.err, name)
		return errUsage
	}
	c := commands()[i]
	c.config.Job = c.name
	if asksHelp := len(args) > 0 && strings.HasPrefix(args[0], "-h"); c.jobs != nil && !asksHelp {
		if len(args) == 0 || !slices.Contains(c.jobs, args[0]) {
			fmt.Fprintf(std.err, "benchmarks %s: the first argument is one of %v\n", c.name, c.jobs)
			return errUsage
		}
		c.config.Job, args = args[0], args[1:]
	}
	if err := configFlags(c.name, std, &c.config, args); err != nil {
		return err
	}
	return c.run(ctx, std, c.config)
}

func usage(w io.Writer, unknown string) {
	if unknown != "" {
		fmt.Fprintf(w, "benchmarks: there is no command %q\n", unknown)
	}
	fmt.Fprintln(w, "usage: benchmarks COMMAND [flags]; -h after a command lists its flags")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-36s %s\n", c.name+" "+strings.Join(c.jobs, "|"), c.does)
	}
	fmt.Fprintf(w, "  %-36s %s\n", "compare", "run the whole matrix and judge it")
}
