// Package examples_test runs the example programs as their operators would: it
// starts them, sends them signals, reads what they print, and talks to them. It
// waits for text, never for a time.
package examples_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/internal/test/programs"
)

// binaries is the directory of the programs.
var binaries string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if binaries, err = programs.Build(); err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(binaries)
	return m.Run()
}

// need returns the path of a program, and skips the test if it is missing.
func need(t *testing.T, name, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is missing: it is in Debian's package %s", name, debianPackage)
	}
	return path
}

// testdata returns the path of a file in the repository's testdata.
func testdata(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "testdata", name))
	require.NoError(t, err)
	return path
}
