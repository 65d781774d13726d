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
	"syscall"
)

// A command is a subcommand of the program.
type command struct {
	name string
	args string // what may follow it
	does string
	run  func(ctx context.Context, std streams, args []string) error
}

// streams are a command's outputs.
type streams struct {
	out io.Writer // results
	err io.Writer // usage and progress
}

func commands() []command {
	return []command{
		{"serve", "echo|multicast|fanout|redis [flags]", "run one server until Ctrl-C", serve},
		{"load", "echo|multicast|fanout|churn [flags]", "run clients against a server and report", runLoad},
		{"idle", "[flags]", "measure the memory of idle sessions", ownServer("idle", 10_000, 1, showIdle)},
		{"churn", "[flags]", "measure how fast connections come and go", ownServer("churn", 16, 1, showChurn)},
		{"fanout", "[flags]", "measure the time until the last member has a message", ownServer("fanout", 1000, 50, showFanout)},
		{"compare", "[flags]", "run the whole matrix and judge it", runCompare},
		{"child", "", "do what another command asks for", child},
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
	if len(args) > 0 {
		for _, c := range commands() {
			if c.name == args[0] {
				return c.run(ctx, std, args[1:])
			}
		}
		fmt.Fprintf(std.err, "benchmarks: there is no command %q\n", args[0])
	}
	fmt.Fprintln(std.err, "usage: benchmarks COMMAND; -h after one lists its flags")
	for _, c := range commands() {
		fmt.Fprintf(std.err, "  %-46s %s\n", c.name+" "+c.args, c.does)
	}
	return errUsage
}
