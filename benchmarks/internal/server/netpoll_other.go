//go:build !linux && !darwin

package server

import (
	"context"
	"errors"
	"fmt"
)

func netpollEcho(context.Context, Config) (Server, error) {
	return nil, fmt.Errorf("netpoll: %w", errors.ErrUnsupported)
}
