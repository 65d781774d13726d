//go:build !linux

package process

import (
	"errors"
	"fmt"
)

// Pin needs Linux.
func Pin(cpu int) error {
	return fmt.Errorf("pin to CPU %d: %w", cpu, errors.ErrUnsupported)
}
