//go:build !unix || solaris

package sockopt

import (
	"errors"
	"fmt"
)

// ReusePort reports that the system has no SO_REUSEPORT.
func ReusePort(uintptr) error {
	return fmt.Errorf("setsockopt SO_REUSEPORT: %w", errors.ErrUnsupported)
}
