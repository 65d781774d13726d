package chanio_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// The kernel has room for more only once a third of its buffer is free, which
// takes longer than WriteTimeout here.
func TestAMemberThatReadsSlowlyHoldsPublishersAndStays(t *testing.T) {
	t.Parallel()
	h := testHub(t, &chanio.Options{Lag: chanio.LagBlock, MaxLag: 64 << 10, WriteTimeout: 5 * time.Second})
	conn, peer := socketPair(t, "tcp")
	defer peer.Close()
	require.NoError(t, peer.(*net.TCPConn).SetReadBuffer(16<<10)) // else it acknowledges megabytes before it reads
	s := chanio.NewSession(t.Context(), conn, &chanio.Options{WriteTimeout: time.Minute, WriteBuffer: 4 << 20})
	needWriteBuffer(t, s, 4<<20)
	require.NoError(t, h.Join(s))
	published := make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		for m := make([]byte, 32<<10); ; {
			select {
			case <-stop:
				published <- nil
				return
			default:
			}
			if err := h.Multicast(m); err != nil {
				published <- err
				return
			}
		}
	}()
	slow := time.NewTicker(50 * time.Millisecond)
	defer slow.Stop()
	for range 220 { // 11 seconds at 320 KB a second
		<-slow.C
		_, err := io.ReadFull(peer, make([]byte, 16<<10))
		require.NoError(t, err, "%v", s.Err())
	}
	require.NoError(t, s.Err())
	require.Equal(t, 1, h.Len())
	close(stop)
	s.Abort(nil) // releases the publisher
	awaitDone(t, s)
	err, _ := await(t, published, "the publisher")
	require.NoError(t, err)
}

// A look that is the first for long shows progress, although that may be long ago.
func TestAMemberThatReadsNothingHoldsPublishersForItsHubsWriteTimeout(t *testing.T) {
	t.Parallel()
	const timeout = 10 * time.Second
	h := testHub(t, &chanio.Options{Lag: chanio.LagBlock, MaxLag: 64 << 10, WriteTimeout: timeout})
	conn, peer := socketPair(t, "tcp")
	defer peer.Close()
	s := chanio.NewSession(t.Context(), conn, &chanio.Options{WriteTimeout: -1})
	require.NoError(t, h.Join(s))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for m := make([]byte, 32<<10); h.Len() > 0; {
			h.Multicast(m)
		}
	}()
	var began time.Time // of the last write
	for sent := int64(0); sent == 0 || s.Stats().BytesSent > sent; <-time.After(timeout / 4) {
		sent, began = s.Stats().BytesSent, time.Now()
	}
	awaitDone(t, s)
	require.ErrorIs(t, s.Err(), chanio.ErrLagged)
	require.Less(t, time.Since(began), timeout+timeout/2, "and not for twice that")
	<-ended
}
