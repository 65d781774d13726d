package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/chanio/benchmarks/internal/compare"
	"example.com/chanio/benchmarks/internal/results"
)

// runCompare runs the matrix, or reads the outcome of an earlier run, and prints
// its tables.
func runCompare(ctx context.Context, std streams, args []string) error {
	var (
		r                 compare.Run
		set, match        string
		list              bool
		dir, readme, from string
	)
	fs := newFlags("compare", std)
	fs.StringVar(&set, "set", "all", "run a `set` of scenarios, which -list lists")
	fs.StringVar(&match, "run", "", "of those, run only the scenarios that match `regexp`")
	fs.IntVar(&r.Repeat, "r", 5, "`repetitions`")
	r.Length, r.Warmup = 2*time.Second, 300*time.Millisecond
	secondsVar(fs, &r.Length, "z", "`seconds` of each measurement")
	secondsVar(fs, &r.Warmup, "w", "`seconds` of warm-up before it")
	fs.StringVar(&dir, "o", "", "write all figures, tables and pictures to `directory`")
	fs.StringVar(&readme, "readme", "", "write a summary, with the pictures of -o, into the marked section of `file`")
	fs.StringVar(&from, "from", "", "measure nothing: take what a run with -o has written to `directory`")
	fs.BoolVar(&list, "list", false, "list the scenarios, and the sets, and end")
	if err := parse(fs, args); err != nil {
		return err
	}
	if readme != "" && dir == "" {
		return errors.New("-readme needs -o, the directory for the pictures")
	}
	if r.Repeat < 1 || r.Length <= 0 || r.Warmup < 0 {
		return errors.New("-r and -z must be positive, and -w not negative")
	}
	var err error
	if r.Scenarios, err = compare.Select(set, match); err != nil {
		return err
	}
	if list {
		for _, s := range r.Scenarios {
			fmt.Fprintf(std.out, "%-28s %s\n", s.Name, strings.Join(s.Entrants, " "))
		}
		for _, s := range compare.Sets() {
			fmt.Fprintf(std.out, "-set %-12s %s\n", s.Name, s.Does)
		}
		return nil
	}

	var o compare.Outcome
	if from != "" {
		if o, err = results.Read(from); err != nil {
			return err
		}
	} else {
		r.Progress, r.Command = std.err, commandLine(args)
		o = r.Do(ctx)
	}
	fmt.Fprint(std.out, o.Tables(compare.Bars()))
	if dir != "" {
		err = errors.Join(err, results.Write(dir, o))
	}
	if readme != "" {
		err = errors.Join(err, results.WriteReadme(readme, dir, o))
	}
	return err
}

// commandLine returns the shell command that runs this again.
func commandLine(args []string) string {
	var line strings.Builder
	line.WriteString("go run . compare")
	for _, a := range args {
		if strings.ContainsAny(a, " \t\n'\"\\$`*?[](){}|&;<>^~#!") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		line.WriteString(" " + a)
	}
	return line.String()
}
