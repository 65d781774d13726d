package ws

import (
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestAStalledBrowserIsEvictedAndTheOthersMissNothing(t *testing.T) {
	const others, messages = 20, 4000
	h, url := serve(t, &Options{Chanio: &chanio.Options{MaxLag: 1 << 20, WriteBuffer: 64 << 10}}, func(s *chanio.Session) {
		for range s.Recv() {
		}
		s.Close()
	})
	stalled := dialRaw(t, url, false)
	stalled.send(frames(text("here")), 0)
	done := make(chan error, others)
	for range others {
		p := dialRaw(t, url, false)
		go func() {
			for range messages {
				g, err := p.receive()
				if err != nil || g.op != ws.OpBinary || len(g.payload) != 4096 {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	require.Eventually(t, func() bool { return h.Listener().Hub().Len() == others+1 }, patience, time.Millisecond)
	var evicted *chanio.Session
	for s := range h.Listener().All() {
		if s.RemoteAddr().String() == stalled.LocalAddr().String() {
			evicted = s
		}
	}
	require.NotNil(t, evicted)
	message := []byte(randomText(4096))
	for range messages { // 16 MB: more than the kernel holds and MaxLag
		require.NoError(t, h.Listener().Multicast(message))
	}
	for range others {
		require.NoError(t, <-done)
	}
	<-evicted.Done()
	require.ErrorIs(t, evicted.Err(), chanio.ErrLagged)
	require.Equal(t, others, h.Listener().Hub().Len())
}
