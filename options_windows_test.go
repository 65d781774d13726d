package chanio_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestListenersRefuseTheOptionsThatWindowsDoesNotHave(t *testing.T) {
	for _, test := range []struct {
		name, network, address string
		o                      chanio.Options
	}{
		{"ReusePort", "tcp", "127.0.0.1:0", chanio.Options{ReusePort: true}},
		{"ReusePort", "udp", "127.0.0.1:0", chanio.Options{ReusePort: true}},
		{"SocketMode", "unix", filepath.Join(t.TempDir(), "socket"), chanio.Options{SocketMode: 0o600}},
	} {
		t.Run(test.name+"/"+test.network, func(t *testing.T) {
			l, err := chanio.Listen(t.Context(), test.network, test.address, &test.o)
			require.Nil(t, l)
			require.ErrorIs(t, err, errors.ErrUnsupported)
		})
	}
}
