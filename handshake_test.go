package chanio

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/internal/readable"
)

// evictable returns a handshake, and a function that reports whether it was
// evicted.
func evictable() (one *handshake, evicted func() bool) {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &handshake{cancel: cancel}, func() bool { return ctx.Err() != nil }
}

// beginOne begins a handshake from an address.
func beginOne(t *testing.T, h *handshakes, from string) (one *handshake, evicted func() bool) {
	t.Helper()
	one, evicted = evictable()
	require.True(t, h.begin(one, netip.MustParseAddr(from)))
	return one, evicted
}

func TestASilentHandshakeOfTheAddressThatHasTheMostIsEvicted(t *testing.T) {
	for range 20 { // the choice is random
		h := &handshakes{limit: 100}
		_, good := beginOne(t, h, "192.0.2.1")
		_, also := beginOne(t, h, "192.0.2.1")
		for range 98 {
			beginOne(t, h, "192.0.2.2")
		}
		for range 90 {
			beginOne(t, h, "192.0.2.3")
		}
		require.False(t, good() || also())
		require.Equal(t, 100, h.running())
	}
}

// A flood that is always newer than the good would push them all out.
func TestTheHandshakeEvictedIsNotAlwaysTheOldest(t *testing.T) {
	const limit = 400
	h := &handshakes{limit: limit}
	var oldest []func() bool
	for i := range limit + limit/4 {
		_, evicted := beginOne(t, h, "192.0.2.1")
		if i < limit/4 {
			oldest = append(oldest, evicted)
		}
	}
	left := 0
	for _, evicted := range oldest {
		if !evicted() {
			left++
		}
	}
	require.Positive(t, left)
	require.Equal(t, limit, h.running())
}

func TestTalkingConnectionsAreEvictedAfterAllSilentOnes(t *testing.T) {
	h := &handshakes{limit: 10}
	var heard []func() bool
	for range 7 {
		one, evicted := beginOne(t, h, "192.0.2.1")
		h.hear(one, netip.MustParseAddr("192.0.2.1"))
		heard = append(heard, evicted)
	}
	var silent []func() bool
	for range 30 {
		_, evicted := beginOne(t, h, "192.0.2.2")
		silent = append(silent, evicted)
	}
	for _, evicted := range heard {
		require.False(t, evicted())
	}
	left := 0
	for _, evicted := range silent {
		if !evicted() {
			left++
		}
	}
	require.Equal(t, 3, left)
}

func TestANewSilentConnectionIsSparedAmongTalkingOnes(t *testing.T) {
	h := &handshakes{limit: 100}
	flood := func() {
		one, _ := beginOne(t, h, "192.0.2.2")
		h.hear(one, netip.MustParseAddr("192.0.2.2"))
	}
	for range 100 {
		flood()
	}
	_, evicted := beginOne(t, h, "192.0.2.1") // its first bytes are in flight
	for range 1000 {
		flood()
	}
	require.False(t, evicted())
}

func TestUndeliveredSessionsTakeNoPlacesFromHandshakes(t *testing.T) {
	h := &handshakes{limit: 3}
	for range 2 {
		one, _ := beginOne(t, h, "192.0.2.1")
		require.True(t, h.end(one, true))
	}
	_, evicted := beginOne(t, h, "192.0.2.1")
	another, _ := evictable()
	require.False(t, h.begin(another, netip.Addr{}))
	require.False(t, evicted())
	h.delivered()
	require.True(t, h.begin(another, netip.Addr{}))
}

func TestUnseenBytesKeepAHandshake(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it cannot be told there without reading")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer peer.Close()
	conn, err := ln.Accept()
	require.NoError(t, err)
	defer conn.Close()
	_, err = peer.Write([]byte{22})
	require.NoError(t, err)
	h := &handshakes{limit: 4}
	one, evicted := evictable()
	one.socket, err = conn.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, readable.Await(one.socket))
	require.True(t, h.begin(one, netip.Addr{}))
	for range 100 {
		another, _ := evictable()
		require.True(t, h.begin(another, netip.Addr{}))
	}
	require.False(t, evicted())
}
