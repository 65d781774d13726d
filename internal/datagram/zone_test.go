package datagram

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheNameOfAnInterfaceIsNotTrustedForLong(t *testing.T) {
	all, err := net.Interfaces()
	require.NoError(t, err)
	if len(all) == 0 {
		t.Skip("no interface here")
	}
	ifi := all[0]
	synctest.Test(t, func(t *testing.T) {
		var z zoner
		require.Equal(t, ifi.Name, z.name(ifi.Index))
		z.names[ifi.Index] = "another interface had that index"
		<-time.After(namesValid)
		require.NotEqual(t, ifi.Name, z.name(ifi.Index), "it is not looked up for each datagram")
		<-time.After(1)
		require.Equal(t, ifi.Name, z.name(ifi.Index))
	})
}
