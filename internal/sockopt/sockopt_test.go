package sockopt_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/internal/sockopt"
)

// bind listens on address, with set applied to the socket first.
func bind(t *testing.T, address string, set func(fd uintptr) error) (net.PacketConn, error) {
	t.Helper()
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = set(fd) }), err)
	}}
	return lc.ListenPacket(t.Context(), "udp4", address)
}

func TestSocketsShareAnAddressThatBothOfThemOptIntoSharing(t *testing.T) {
	for _, c := range []struct {
		name   string
		set    func(fd uintptr) error
		shares bool
	}{
		{"nothing set", func(uintptr) error { return nil }, false},
		{"ReuseAddr", sockopt.ReuseAddr, true},
		{"ReusePort", sockopt.ReusePort, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := bind(t, "127.0.0.1:0", c.set)
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skipf("not on this system: %v", err)
			}
			require.NoError(t, err)
			defer a.Close()
			b, err := bind(t, a.LocalAddr().String(), c.set)
			if !c.shares {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.NoError(t, b.Close())
		})
	}
}

func TestABadSocketIsAnErrorThatNamesTheOption(t *testing.T) {
	require.ErrorContains(t, sockopt.ReuseAddr(^uintptr(0)), "SO_REUSEADDR")
	require.ErrorContains(t, sockopt.ReusePort(^uintptr(0)), "SO_REUSEPORT")
}
