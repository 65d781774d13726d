package chanio_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestASessionDismissedByItsHubDoesNotEndCleanly(t *testing.T) {
	for _, way := range []struct {
		name string
		end  func(s *chanio.Session) // does not wait
	}{
		{"CloseWrite", func(s *chanio.Session) { s.CloseWrite() }},
		{"Close", (*chanio.Session).BeginClose},
	} {
		t.Run(way.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := testHub(t, &chanio.Options{MaxLag: 1000})
				s, peer := joinMem(t, h, nil)
				require.NoError(t, h.Multicast(message(0, 400)))
				synctest.Wait() // in a write
				require.NoError(t, h.Multicast(message(1, 400)))
				flushed := make(chan error, 1)
				go func() { flushed <- s.Flush(context.Background()) }()
				synctest.Wait()
				way.end(s)

				report := h.Lag(s)
				all := readInto(peer)
				synctest.Wait() // the writer has written everything, and looks for more
				require.Empty(t, all, "there is no end of stream after what is missing")
				require.Empty(t, flushed)

				report()
				require.Equal(t, message(0, 400), <-all)
				require.ErrorIs(t, s.Err(), chanio.ErrLagged)
				require.ErrorIs(t, <-flushed, chanio.ErrClosed)
				require.EqualValues(t, 400, s.Stats().Undelivered)
			})
		})
	}
}

// A heldLog is a slog.Handler that, once held, waits with each record until
// release is closed.
type heldLog struct {
	held    *atomic.Bool
	release chan struct{}
}

func (l heldLog) Enabled(context.Context, slog.Level) bool { return true }
func (l heldLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l heldLog) WithGroup(string) slog.Handler            { return l }

func (l heldLog) Handle(context.Context, slog.Record) error {
	if l.held.Load() {
		<-l.release
	}
	return nil
}

func TestADismissalDoesNotWaitForTheLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger := heldLog{new(atomic.Bool), make(chan struct{})}
		h := testHub(t, &chanio.Options{MaxLag: 1000, Logger: slog.New(logger)})
		slow, _ := joinMem(t, h, &chanio.Options{WriteTimeout: -1})
		_, peer := joinMem(t, h, nil)
		all := readInto(peer)
		for i := range 2 { // the first is in a write
			require.NoError(t, h.Multicast(message(i, 501)))
			synctest.Wait()
		}
		logger.held.Store(true)
		published := make(chan error, 1)
		go func() { published <- h.Multicast(message(2, 501)) }()
		synctest.Wait()
		require.Empty(t, published, "the publisher waits for the Logger")
		<-slow.Done()
		require.ErrorIs(t, slow.Err(), chanio.ErrLagged)
		require.NoError(t, h.Flush(t.Context()), "the other member has everything")

		close(logger.release)
		require.NoError(t, <-published)
		synctest.Wait() // the peer has read everything
		peer.Close()
		require.Equal(t, append(append(message(0, 501), message(1, 501)...), message(2, 501)...), <-all)
	})
}
