//go:build !linux

package chanio_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestUnixpacketIsForLinuxOnly(t *testing.T) {
	_, err := chanio.Listen(t.Context(), "unixpacket", "s", nil)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	_, err = chanio.Dial(t.Context(), "unixpacket", "s", nil)
	require.ErrorIs(t, err, errors.ErrUnsupported)
}
