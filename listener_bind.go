package chanio

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"example.com/chanio/internal/sockopt"
)

// bindStream binds an address that accepts connections.
func bindStream(ctx context.Context, network, address string, set *settings) (source, error) {
	if err := set.checkMode(network, address); err != nil {
		return nil, err
	}
	ln, err := networkNamed(network).listen(ctx, network, address, set)
	if err != nil {
		return nil, wrapOp("listen", network, nil, nil, err)
	}
	if isUnix(network) {
		if err := set.setMode(ln); err != nil {
			ln.Close()
			return nil, err
		}
	}
	return newStreams(ln, set), nil
}

// listenByName listens on a network that package net knows.
func listenByName(ctx context.Context, network, address string, set *settings) (net.Listener, error) {
	config := net.ListenConfig{Control: set.control}
	if set.KeepAlive != nil {
		config.KeepAliveConfig = *set.KeepAlive
	}
	return config.Listen(ctx, network, address)
}

// listenUnix is listenByName for addresses that are files: it replaces a stale
// one.
func listenUnix(ctx context.Context, network, address string, set *settings) (net.Listener, error) {
	ln, err := listenByName(ctx, network, address, set)
	if errors.Is(err, errAddressInUse) && removeStale(network, address) {
		return listenByName(ctx, network, address, set)
	}
	return ln, err
}

// removeStale removes a unix socket file that no one listens on.
func removeStale(network, path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return false
	}
	conn, err := net.Dial(network, path)
	if err == nil {
		conn.Close()
		return false
	}
	return errors.Is(err, errRefused) && os.Remove(path) == nil
}

// control sets the options of a socket before it is bound, the user's last.
func (set *settings) control(network, address string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		if set.ReuseAddr {
			failed = sockopt.ReuseAddr(fd)
		}
		if set.ReusePort && failed == nil {
			failed = sockopt.ReusePort(fd)
		}
		if failed == nil {
			failed = set.restrict(network, fd)
		}
	})
	if err = errors.Join(err, failed); err != nil || set.Control == nil {
		return err
	}
	return set.Control(network, address, c)
}
