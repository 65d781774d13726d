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
	config := net.ListenConfig{Control: set.control}
	if set.KeepAlive != nil {
		config.KeepAliveConfig = *set.KeepAlive
	}
	ln, err := config.Listen(ctx, network, address)
	if isUnix(network) && errors.Is(err, errAddressInUse) && removeStale(network, address) {
		ln, err = config.Listen(ctx, network, address)
	}
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
