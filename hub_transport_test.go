package chanio_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// TestMembersOverEveryTransportShareOneHub has accepted and dialed sessions of
// each kind in one hub.
func TestMembersOverEveryTransportShareOneHub(t *testing.T) {
	const messages = 300
	server, client := testTLS(t)
	h := testHub(t, &chanio.Options{Lag: chanio.LagBlock, MaxLag: 1 << 16})
	var streams []<-chan []byte
	var sessions []*chanio.Session
	join := func(s *chanio.Session, peer io.Reader) {
		require.NoError(t, h.Join(s))
		sessions = append(sessions, s)
		streams = append(streams, readInto(peer))
	}
	for _, p := range pairsHere(t) {
		for range 2 {
			conn, peer := p.make(t)
			s := chanio.NewSession(t.Context(), conn, nil)
			t.Cleanup(func() { s.Abort(nil); peer.Close(); <-s.Done() })
			join(s, peer)
		}
	}
	a, b := tlsPair(t, chanio.Options{}, server, client)
	join(a, b.NetConn())
	a, b = tlsPair(t, chanio.Options{}, server, client)
	join(b, a.NetConn())

	var want []byte
	for i := range messages {
		m := message(i, i*31%5000)
		want = append(want, m...)
		require.NoError(t, h.Multicast(m))
	}
	for i, s := range sessions {
		require.NoError(t, s.CloseWrite())
		require.Equal(t, want, <-streams[i], "member %d", i)
	}
}

func TestToUDPSessionsAMessageIsADatagram(t *testing.T) {
	l := listenUDP(t, nil)
	tcp := listenTCP(t, &chanio.Options{ManualJoin: true})
	h := testHub(t, nil)
	conn, err := net.Dial("udp", l.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, "hello")
	require.NoError(t, err)
	s := nextSession(t, l)
	stream, member := joinTCP(t, tcp)
	require.NoError(t, h.Join(member))
	require.NoError(t, h.Multicast([]byte("before")), "a segment without an index")
	require.NoError(t, h.Join(s))

	buf := make([]byte, 1<<16)
	hear := func(want string) {
		t.Helper()
		n, err := conn.Read(buf)
		require.NoError(t, err)
		require.Equal(t, want, string(buf[:n]))
	}
	long := string(message(1, 9000))
	for range 3 { // one batch, however they come
		for _, m := range []string{"a", "", long, "bc"} {
			require.NoError(t, h.Multicast([]byte(m)))
		}
		for _, m := range []string{"a", "", long, "bc"} {
			hear(m)
		}
	}
	require.NoError(t, s.Put([]byte("own")))
	hear("own")

	require.NoError(t, h.Multicast(make([]byte, 1<<16)), "more than a datagram holds")
	require.NoError(t, h.Multicast([]byte("after")))
	hear("after")
	require.NoError(t, s.Err(), "a datagram that cannot be sent ends nothing")
	require.EqualValues(t, 1, s.Stats().MessagesDropped)

	h.Leave(s)
	require.NoError(t, h.Multicast([]byte("for streams")))
	require.NoError(t, h.Flush(t.Context()))
	require.NoError(t, s.Put([]byte("left")))
	hear("left")
	require.NoError(t, member.CloseWrite())
	got, err := io.ReadAll(stream)
	require.NoError(t, err)
	round := "a" + long + "bc"
	require.Equal(t, "before"+round+round+round+string(make([]byte, 1<<16))+"after"+"for streams", string(got))
}
