package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"time"

	"example.com/chanio/benchmarks/internal/compare"
)

// runCompare runs the matrix and prints its tables.
func runCompare(ctx context.Context, args []string) error {
	var (
		r               compare.Run
		match, jsonFile string
		seconds, warm   float64
		list            bool
	)
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	fs.StringVar(&match, "run", "", "run the scenarios that match `regexp` only")
	fs.IntVar(&r.Repeat, "r", 5, "`repetitions`")
	fs.Float64Var(&seconds, "z", 2, "`seconds` of each measurement")
	fs.Float64Var(&warm, "w", 0.3, "`seconds` of warm-up before it")
	fs.IntVar(&r.CPU, "cpu1", runtime.NumCPU()-1, "the one `CPU` that both processes of a pinned scenario run on")
	fs.StringVar(&jsonFile, "json", "", "write all figures to `file`")
	fs.BoolVar(&list, "list", false, "list the scenarios and end")
	if _, err := parse(fs, args); err != nil {
		return err
	}
	re, err := regexp.Compile(match)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	r.Scenarios = compare.Select(compare.Catalogue(), re)
	if len(r.Scenarios) == 0 {
		return fmt.Errorf("no scenario matches %q; -list lists them", match)
	}
	if list {
		for _, s := range r.Scenarios {
			fmt.Println(s.Name)
		}
		return nil
	}
	r.Length = time.Duration(seconds * float64(time.Second))
	r.Warmup = time.Duration(warm * float64(time.Second))
	r.Progress = &compare.Progress{W: os.Stderr, Line: isTerminal(os.Stderr)}

	began := time.Now()
	r.Do(ctx)
	o := r.Outcome(began, compare.Bars())
	err = o.WriteMarkdown(os.Stdout)
	if jsonFile != "" {
		err = errors.Join(err, writeJSON(jsonFile, o))
	}
	return err
}

func writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o644)
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
