package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/trial"
)

// TestMain is the program itself in a child that a test has started: the
// commands start their servers and loads from their own executable.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == trial.ChildCommand {
		main()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// runProgram runs the program and returns what it prints.
func runProgram(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	err = run(t.Context(), streams{&out, &errs}, args)
	return out.String(), errs.String(), err
}

// startServer starts a server as a child and returns the port of its address.
func startServer(t *testing.T, c bench.Config) (port string) {
	t.Helper()
	require.NoError(t, c.LocateFree())
	child, err := trial.Start(context.WithoutCancel(t.Context()), false)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, child.Stop()) })
	address, err := child.Serve(c)
	require.NoError(t, err)
	_, port, err = net.SplitHostPort(address)
	require.NoError(t, err)
	return port
}

func TestLoadReportsWhatAServerOfEachImplementationServes(t *testing.T) {
	for _, c := range [][4]string{
		{"echo", "ssl", "std", "chanio"},
		{"echo", "udp", "chanio", "plain"},
		{"multicast", "ws", "gws", "plain"},
	} {
		t.Run(strings.Join(c[:], " "), func(t *testing.T) {
			job, network, impl, client := c[0], c[1], c[2], c[3]
			port := startServer(t, bench.Config{Job: job, Net: strings.Replace(network, "ssl", "tls", 1), Impl: impl, Clients: 2, Size: 32})
			out, _, err := runProgram(t, "load", job, "-net", network, "-p", port, "-client", client,
				"-c", "2", "-m", "10", "-s", "32", "-z", "0.2", "-t", "2")
			require.NoError(t, err)
			require.Contains(t, out, "Working clients: 2 ("+client+")")
			require.Contains(t, out, "Errors: 0\n")
			require.Contains(t, out, "Total messages: ")
		})
	}
}

func TestIdle(t *testing.T) {
	out, _, err := runProgram(t, "idle", "-net", "tls", "-c", "20", "-s", "10")
	require.NoError(t, err)
	require.Contains(t, out, "20 idle tls sessions of chanio")
	require.Contains(t, out, "echoed once")
}

func TestChurn(t *testing.T) {
	out, _, err := runProgram(t, "churn", "-net", "tls", "-resume", "-impl", "std", "-c", "2", "-z", "0.2")
	require.NoError(t, err)
	require.Contains(t, out, " connections in ")
	require.Contains(t, out, "\nResumed: ")
	require.Contains(t, out, "From dialing to closing: p50 ")
}

func TestFanout(t *testing.T) {
	out, _, err := runProgram(t, "fanout", "-impl", "loop", "-c", "10", "-m", "100", "-z", "0.5")
	require.NoError(t, err)
	require.Contains(t, out, " messages to 10 members\nUntil the last had it: p50 ")
}

func TestCompareMeasuresAndShowsTheSameAgain(t *testing.T) {
	dir := t.TempDir()
	readme, made := filepath.Join(dir, "README.md"), filepath.Join(dir, "results")
	require.NoError(t, os.WriteFile(readme, []byte("<!-- Measurements: begin --><!-- Measurements: end -->"), 0o644))

	out, progress, err := runProgram(t, "compare", "-set", "sizes", "-run", "-(1|256)B$", "-r", "2", "-z", "0.1", "-w", "0.05",
		"-o", made, "-readme", readme)
	require.NoError(t, err)
	require.Contains(t, progress, "12/12, ")
	require.NotContains(t, progress, "failed")
	require.Contains(t, out, "| tcp-echo-10x1-1B | netpoll |")
	require.FileExists(t, filepath.Join(made, "results.txt"))
	text, err := os.ReadFile(readme)
	require.NoError(t, err)
	require.Contains(t, string(text), `compare -set sizes -run '-(1|256)B$' -r 2`)

	again, progress, err := runProgram(t, "compare", "-from", made)
	require.NoError(t, err)
	require.Empty(t, progress, "nothing is measured")
	require.Equal(t, out, again)
}

func TestPublishingIsTimed(t *testing.T) {
	out, _, err := runProgram(t, "compare", "-run", "^tcp-publish-100$", "-r", "1", "-z", "0.1", "-w", "0")
	require.NoError(t, err)
	require.Contains(t, out, "| tcp-publish-100 chanio p99.9-us any | ")
	require.NotContains(t, out, "not measured")
}

func TestCompareListsScenariosAndSets(t *testing.T) {
	out, _, err := runProgram(t, "compare", "-list", "-set", "cppserver", "-run", "^udp")
	require.NoError(t, err)
	require.Equal(t, 4, strings.Count(out, "\nudp-")+strings.Count(out[:4], "udp-"))
	require.Contains(t, out, "-set clients ")
}

func TestWhatCannotBeDoneIsAnError(t *testing.T) {
	for _, c := range []struct {
		name string
		args string
		says string // the error, or the error output after a wrong use of the program
	}{
		{"no command", "", "usage: benchmarks COMMAND"},
		{"unknown command", "sing", `there is no command "sing"`},
		{"no job", "load", "the first argument is one of [echo multicast fanout churn]"},
		{"unknown job", "serve sing", "the first argument is one of [echo multicast fanout redis]"},
		{"unknown flag", "idle -q", "flag provided but not defined: -q"},
		{"no number", "churn -c x", `invalid value "x" for flag -c`},
		{"further argument", "compare all", `what is "all"?`},
		{"help", "fanout -h", "-impl implementation"},

		{"no threads", "load echo -t -1", "-1 threads are not positive"},
		{"no such transport", "serve echo -net sctp", `network "sctp" is none of`},
		{"no such server", "serve echo -impl other", `no implementation "other"`},
		{"no such client", "load echo -client other", `no client "other"`},
		{"no clients", "load echo -c 0", "must be positive"},
		{"no idle clients", "idle -c 0", "must be positive"},
		{"no message", "fanout -m 0", "must be positive"},
		{"no room for a stamp", "fanout -s 7", "8 bytes"},
		{"no room for a number", "load echo -net udp -s 7", "8 bytes"},
		{"a server that does not start", "churn -impl other", `no implementation "other"`},

		{"no such set", "compare -set none", `"none" is none of all, readme, cppserver, bars, clients, sizes, websocket`},
		{"no such scenario", "compare -run ^none$", "no scenario"},
		{"a bad expression", "compare -run (", "-run: error parsing"},
		{"no repetition", "compare -r 0", "must be positive"},
		{"pictures nowhere", "compare -readme README.md", "-readme needs -o"},
		{"nothing to read", "compare -from nowhere", "results.txt"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, says, err := runProgram(t, strings.Fields(c.args)...)
			if !errors.Is(err, errUsage) && !errors.Is(err, flag.ErrHelp) {
				require.Error(t, err)
				says += err.Error()
			}
			require.Contains(t, says, c.says)
		})
	}
}

func TestCommandLineIsForAShell(t *testing.T) {
	require.Equal(t, `go run . compare -r 3 -run '^(a|b)$' 'it'\''s'`, commandLine([]string{"-r", "3", "-run", "^(a|b)$", "it's"}))
}
