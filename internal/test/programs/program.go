// Package programs builds programs for tests that run them, and reads what they
// print. Only tests import it.
package programs

import (
	"fmt"
	"os"
	"os/exec"
)

// Build builds the main packages below the working directory into a new
// directory, which it returns. They are built as the test was: with the race
// detector or without it.
func Build() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "programs"); err != nil {
		return "", err
	}
	args := append([]string{"build", "-o", dir + "/"}, buildFlags...)
	if out, err := exec.Command("go", append(args, "./...")...).CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return "", fmt.Errorf("%s%w", out, err)
	}
	return dir, nil
}
