package chanio_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/datagram"
)

// listenUDP returns a udp listener on a free port of the loopback interface. It
// ends with the test.
func listenUDP(t testing.TB, o *chanio.Options) *chanio.Listener {
	t.Helper()
	return listenUDPAt(t, "udp", "127.0.0.1:0", o)
}

func listenUDPAt(t testing.TB, network, address string, o *chanio.Options) *chanio.Listener {
	t.Helper()
	l, err := chanio.Listen(context.Background(), network, address, o)
	if err != nil && address[0] == '[' {
		t.Skipf("no IPv6 here: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// ask sends a datagram and returns the next one that comes back.
func ask(t testing.TB, conn net.Conn, question string) string {
	t.Helper()
	_, err := conn.Write([]byte(question))
	require.NoError(t, err)
	return hear(t, conn)
}

// hear returns the next datagram that conn receives.
func hear(t testing.TB, conn net.Conn) string {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	buf := make([]byte, 1<<16)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience))) // for this one, not for all
	n, err := conn.Read(buf)
	require.NoError(t, err)
	return string(buf[:n])
}

// nextSession returns the next session of l.
func nextSession(t testing.TB, l *chanio.Listener) *chanio.Session {
	t.Helper()
	s, ok := await(t, l.Sessions(), "a session")
	require.True(t, ok, "Sessions was closed: %v", l.Err())
	return s
}

// nextMessage returns the next message of s.
func nextMessage(t testing.TB, s *chanio.Session) string {
	t.Helper()
	m, ok := await(t, s.Recv(), "a message")
	require.True(t, ok, "Recv was closed: %v", s.Err())
	return string(m)
}

// memPeers returns a udp listener over a socket in memory. It ends with the
// test.
func memPeers(t *testing.T, ctx context.Context, o *chanio.Options) (*memSocket, *chanio.Listener) {
	t.Helper()
	m := newMemSocket()
	l := chanio.ServePeers(ctx, m, o)
	require.NoError(t, l.Err())
	t.Cleanup(func() { l.Close() })
	return m, l
}

// peerAddress returns the address of the tests' peer number i.
func peerAddress(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 1000)
}

// from makes a datagram from peer number i arrive, and waits until all its
// effects have happened.
func (m *memSocket) from(i int, message string) {
	m.in <- datagram.Packet{Addr: peerAddress(i), Data: []byte(message)}
	synctest.Wait()
}

// session makes peer number i a session of l.
func (m *memSocket) session(i int, l *chanio.Listener) *chanio.Session {
	m.from(i, "hello")
	return <-l.Sessions()
}

// answer sends a message through s and takes it from the socket.
func (m *memSocket) answer(t *testing.T, s *chanio.Session) {
	t.Helper()
	require.NoError(t, s.Put([]byte("answer")))
	require.Equal(t, s.RemoteAddr().String(), (<-m.out).Addr.String())
}
