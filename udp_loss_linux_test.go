package chanio_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/netns"
)

// A datagram that a link swallows while it is down is always reported.
func TestADatagramThatALinkRejectsIsReported(t *testing.T) {
	netns.Veth(t)
	l := listenUDPAt(t, "udp4", "10.7.7.1:0", nil)
	dialed, err := chanio.Dial(t.Context(), "udp4", "10.7.7.2:9", nil)
	require.NoError(t, err)
	defer dialed.Close()
	endpoint := packetConn(t, "udp4", "10.7.7.1:0", nil, false)
	peer := packetConn(t, "udp4", "10.7.7.1:0", nil, false)
	to := l.Addr().String()
	require.NoError(t, peer.Put(chanio.Packet{Addr: netip.MustParseAddrPort(to), Data: []byte("hello")}))
	accepted := nextSession(t, l)
	require.NoError(t, netns.Run("ip addr flush dev v0; ip link set v0 down"))

	for name, s := range map[string]*chanio.Session{"dialed": dialed, "accepted": accepted} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, s.Put([]byte("lost")))
			require.Error(t, s.Flush(t.Context()))
			require.EqualValues(t, 1, s.Stats().MessagesDropped)
			require.EqualValues(t, 4, s.Stats().Undelivered)
			require.NoError(t, s.Err())
		})
	}
	tlsEvent(t, l.Events(), chanio.EventFailed)
	require.NoError(t, endpoint.Put(chanio.Packet{Addr: netip.MustParseAddrPort("10.7.7.2:9"), Data: []byte("lost")}))
	require.Error(t, endpoint.Flush(t.Context()))
	nextEvent(t, endpoint, chanio.EventFailed)
}
