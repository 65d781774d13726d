//go:build !linux

package report

import (
	"errors"
	"fmt"
)

// Usage needs Linux's /proc.
func Usage(pid int) (Used, error) {
	return Used{}, fmt.Errorf("usage of process %d: %w", pid, errors.ErrUnsupported)
}
