package chanio_test

import (
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// unreceived are the ways in which a user does not receive.
var unreceived = []struct {
	name string
	ask  func(s *chanio.Session)
}{
	{"messages", func(s *chanio.Session) { s.Recv() }},
	{"batches", func(s *chanio.Session) { s.RecvBatch() }},
	{"NetConn", func(s *chanio.Session) { s.NetConn() }},
	{"nothing was asked for", func(*chanio.Session) {}},
}

func TestAPeersEndIsSeenThoughNobodyReceives(t *testing.T) {
	for _, kind := range wireKinds {
		for _, way := range unreceived {
			for i := range 4 {
				reset, afterOurs := i&1 != 0, i&2 != 0
				t.Run(fmt.Sprintf("%s/%s/reset %v/after ours %v", kind, way.name, reset, afterOurs), func(t *testing.T) {
					t.Parallel() // each waits for the next look
					w := overWire(t, kind, chanio.Options{RecvQueue: -1, HalfCloseTimeout: 100 * time.Millisecond, CloseTimeout: 200 * time.Millisecond})
					way.ask(w.Session)
					if afterOurs { // then the peer's end of stream leaves nothing of the connection
						require.NoError(t, w.CloseWrite())
						_, err := w.peer.Read(make([]byte, 1))
						require.ErrorIs(t, err, io.EOF)
					}
					for range 3 {
						_, err := w.peer.Write(make([]byte, 1000))
						require.NoError(t, err)
					}
					require.Eventually(t, func() bool { return w.Stats().BytesReceived > 0 }, patience, time.Millisecond)
					_, tcp := w.wire.(*net.TCPConn)
					if reset {
						chanio.AbortConn(w.wire)
					} else {
						w.wire.Close()
					}
					awaitDone(t, w)
					if reset && tcp {
						require.ErrorIs(t, w.Err(), syscall.ECONNRESET)
					} else {
						require.ErrorContains(t, w.Err(), "HalfCloseTimeout")
					}
				})
			}
		}
	}
}

func TestAPeersEndWaitsForAUserWhoReceivesSlowly(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes 7 seconds")
	}
	w := overWire(t, "tcp", chanio.Options{Framing: chanio.Lines{}, RecvQueue: -1, HalfCloseTimeout: 5 * time.Second})
	const lines = 14
	for range lines {
		_, err := w.peer.Write([]byte("line\n"))
		require.NoError(t, err)
	}
	require.NoError(t, w.wire.Close())
	slow := time.NewTicker(500 * time.Millisecond)
	defer slow.Stop()
	for i := range lines {
		<-slow.C
		_, ok := await(t, w.Recv(), "a line")
		require.True(t, ok, "after %d lines: %v", i, w.Err())
	}
}
