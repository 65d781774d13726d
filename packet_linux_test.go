package chanio_test

import (
	"encoding/binary"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestKernelDropsForLackOfAReceiverAreCounted(t *testing.T) {
	p := packetConn(t, "udp4", "127.0.0.1:0", &chanio.Options{RecvQueue: -1, ReadBuffer: 128 << 10}, false)
	s, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(p.LocalAddr()))
	require.NoError(t, err)
	defer s.Close()
	send := func(i uint32) {
		_, err := s.Write(binary.BigEndian.AppendUint32(nil, i))
		require.NoError(t, err)
	}
	// The kernel's buffer has room for some of these, the reader for more.
	const flood = 1000
	for i := range uint32(flood) {
		send(i)
	}
	// Once that many are received, the kernel has room again.
	received := int64(0)
	for range 100 {
		nextPacket(t, p)
		received++
	}
	send(flood)
	for {
		m := nextPacket(t, p)
		if binary.BigEndian.Uint32(m.Data) == flood {
			break
		}
		received++
	}
	require.Less(t, received, int64(flood))
	require.Equal(t, flood-received, p.Stats().KernelDropped)
	require.Zero(t, p.Stats().MessagesDropped)
}
