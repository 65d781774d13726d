package chanio_test

import (
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestAcceptErrorsThatPassAreRetriedWithAGrowingPause(t *testing.T) {
	for _, err := range append(acceptErrors[:], os.NewSyscallError("accept4", acceptErrors[0]), temporary{}) {
		t.Run(err.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, ln := serveMem(t, nil)
				ln.dial()
				running := <-l.Sessions()
				last := time.Now()
				for _, want := range []time.Duration{0, 5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000} {
					ln.Fail(err) // waits until Accept is called
					require.Equal(t, want*time.Millisecond, since(last))
					last = time.Now()
				}
				require.NoError(t, running.Err(), "it ends nothing")
				running.Abort(nil) // and frees a descriptor
				<-running.Done()
				synctest.Wait()
				last = time.Now()
				ln.dial()
				<-l.Sessions()
				require.Zero(t, since(last), "a session that went frees a descriptor")
				ln.Fail(err)
				last = time.Now()
				ln.Fail(err)
				require.Equal(t, 5*time.Millisecond, since(last), "the pause starts over")
			})
		})
	}
}

type temporary struct{}

func (temporary) Error() string   { return "it will pass" }
func (temporary) Temporary() bool { return true }

func TestAPermanentAcceptErrorEndsTheListenerWithThatErr(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ln := serveMem(t, nil)
		ln.dial()
		s := <-l.Sessions()
		ln.Fail(errTest)
		<-l.Done()
		require.ErrorIs(t, l.Err(), errTest)
		require.ErrorContains(t, l.Err(), "chanio: accept tcp 192.0.2.1:1: ")
		require.ErrorIs(t, s.Err(), chanio.ErrClosed)
	})
}

func TestMaxSessionsIsNeverExceeded(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.MaxSessions = 3
		l, ln := serveMem(t, &o)
		for range 10 {
			ln.dial()
		}
		for range 3 {
			<-l.Sessions()
		}
		for want := int32(3); want <= 10; want++ {
			<-time.After(time.Hour)
			require.Equal(t, want, ln.accepted.Load())
			require.Equal(t, 3, l.Len())
			s := slices.Collect(l.All())[0]
			s.Abort(nil)
			<-s.Done()
			if want < 10 {
				<-l.Sessions()
			}
		}
	})
}

func TestMaxSessionsIsNeverExceededWhileTheyComeAndGo(t *testing.T) {
	for _, way := range listeners {
		t.Run(way.name, func(t *testing.T) {
			const bound, clients, each = 4, 12, 20
			l := way.listen(t, t.Context(), &chanio.Options{MaxSessions: bound})
			var live, most atomic.Int32
			handled := serveEach(l, func(s *chanio.Session) {
				n := live.Add(1)
				for most := &most; n > most.Load(); {
					most.Store(n)
				}
				for range s.Recv() {
				}
				live.Add(-1) // before the session can end
				s.Close()
			})
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					for range each {
						conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
						if !assert.NoError(t, err) {
							return
						}
						conn.SetDeadline(time.Now().Add(patience))
						conn.(halfCloser).CloseWrite()
						_, err = io.ReadAll(conn)
						assert.NoError(t, err)
						conn.Close()
					}
				})
			}
			wg.Wait()
			require.LessOrEqual(t, most.Load(), int32(bound))
			require.EqualValues(t, clients*each, l.Stats().Accepted)
			require.NoError(t, l.Close())
			await(t, handled, "the handlers")
		})
	}
}
