package chanio_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestCloseOfADialedSessionSendsWhatWasAccepted(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(s *chanio.Session)
	}{
		{"Close", func(s *chanio.Session) { s.Close() }},
		{"CloseWrite", func(s *chanio.Session) { s.CloseWrite() }},
		{"closed Send", func(s *chanio.Session) { close(s.Send()) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				m, s := memDialed(t, t.Context(), &o)
				accepted := make(chan struct{})
				go func() {
					for i := range 5 {
						s.Put(fmt.Append(nil, i))
					}
					close(accepted)
					c.end(s)
				}()
				for i := range 5 {
					require.Equal(t, fmt.Sprint(i), string((<-m.out).Data))
				}
				<-accepted
				<-s.Done()
				require.NoError(t, s.Err())
				require.NoError(t, s.Close())
				require.Zero(t, s.Stats().Undelivered)
				require.EqualValues(t, 5, s.Stats().MessagesSent)
				require.True(t, isClosed(s.Recv()))
				require.True(t, isClosed(m.closed))
			})
		})
	}
}

func TestADialedSessionWhoseSocketTakesNothingEndsInTime(t *testing.T) {
	why := errors.New("enough")
	for _, c := range []struct {
		name  string
		end   func(s *chanio.Session, cancel context.CancelCauseFunc)
		after time.Duration
		check func(t *testing.T, err error)
	}{
		{"Close", func(s *chanio.Session, _ context.CancelCauseFunc) { s.Close() }, 5 * time.Second, requireTimeout},
		{"Abort", func(s *chanio.Session, _ context.CancelCauseFunc) { s.Abort(why) }, 0, func(t *testing.T, err error) { require.ErrorIs(t, err, why) }},
		{"context", func(_ *chanio.Session, cancel context.CancelCauseFunc) { cancel(why) }, 0, func(t *testing.T, err error) { require.ErrorIs(t, err, why) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				ctx, cancel := context.WithCancelCause(t.Context())
				_, s := memDialed(t, ctx, &o)
				accepted := fill(t, s)
				start := time.Now()
				c.end(s, cancel)
				<-s.Done()
				require.Equal(t, c.after, since(start))
				c.check(t, s.Err())
				require.ErrorIs(t, s.Flush(t.Context()), chanio.ErrClosed)
				requireAllIsCounted(t, s, accepted)
			})
		})
	}
}

func TestASocketThatFailsEndsADialedSessionWithThatErr(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		m, s := memDialed(t, t.Context(), &o)
		why := errors.New("the socket broke")
		m.fail <- why
		<-s.Done()
		require.ErrorIs(t, s.Err(), why)
		require.ErrorContains(t, s.Err(), "chanio: read udp 192.0.2.1:1000->192.0.2.7:7")
		require.True(t, isClosed(s.Recv()))
		require.ErrorIs(t, s.Put(nil), chanio.ErrClosed)
	})
}
