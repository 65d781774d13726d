//go:build !linux && !darwin

package server

import (
	"context"
	"errors"
	"fmt"
)

var errNetpoll = fmt.Errorf("netpoll: %w", errors.ErrUnsupported)

func netpollEcho(context.Context, Config) (Server, error) { return nil, errNetpoll }

func netpollMulticast(context.Context, Config) (Server, error) { return nil, errNetpoll }
