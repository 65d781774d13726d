//go:build !race && linux

package examples_test

// buildFlags build the programs as the tests were built: without the race
// detector.
var buildFlags []string
