package chanio

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// A connection that is not a socket has a goroutine, which may not have ended
// when the next connection is accepted. If its session still counted as
// undelivered, that one would be left to its goroutine and accepting go on.
func TestASessionDeliveredByTheAcceptLoopNoLongerCountsAsUndelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListener(new(settings), newStreams(noListener{}, new(settings)))
		one := new(handshake)
		require.True(t, l.handshakes.begin(one, one.from))
		a := &attendance{sessions: make(chan *Session), over: make(chan struct{})}
		require.True(t, l.handshakes.end(one, true)) // its goroutine may be that fast
		s := deadSession(t.Context(), ErrClosed)
		go func() { a.sessions <- s }() // and does nothing more
		received := make(chan *Session, 1)
		go func() { received <- <-l.sessions }()
		l.attend(a, nil)
		require.Same(t, s, <-received)
		require.True(t, l.handshakes.alone())
	})
}
