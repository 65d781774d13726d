//go:build !unix && !windows

package sockopt

import (
	"errors"
	"fmt"
)

// ReuseAddr reports that the system has no SO_REUSEADDR.
func ReuseAddr(uintptr) error {
	return fmt.Errorf("setsockopt SO_REUSEADDR: %w", errors.ErrUnsupported)
}
