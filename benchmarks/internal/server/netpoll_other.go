//go:build !linux && !darwin

package server

import (
	"errors"
	"fmt"
)

func netpollEcho(*Server) error { return fmt.Errorf("netpoll: %w", errors.ErrUnsupported) }
