package chanio_test

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// heldPublisher publishes messages of size bytes to a hub whose only member's
// peer does not read, until its Multicast is held. The result of that Multicast
// is sent to the channel.
func heldPublisher(t *testing.T, h *chanio.Hub, size int) <-chan error {
	t.Helper()
	require.NoError(t, h.Multicast(message(0, size)))
	synctest.Wait() // it is in a write
	for i := range int(h.MaxLag()) / size {
		require.NoError(t, h.Multicast(message(i, size)))
	}
	held := make(chan error, 1)
	go func() { held <- h.Multicast(message(0, size)) }()
	synctest.Wait()
	require.Empty(t, held)
	return held
}

func TestAPublisherThatLagBlockHoldsIsReleased(t *testing.T) {
	for _, test := range []struct {
		name    string
		release func(t *testing.T, h *chanio.Hub, s *chanio.Session, peer net.Conn, cancelHub, cancelSession context.CancelFunc)
		want    error // of the Multicast that was held
		err     error // of the session
		after   time.Duration
	}{
		{name: "by the member that reads", release: func(_ *testing.T, _ *chanio.Hub, _ *chanio.Session, peer net.Conn, _, _ context.CancelFunc) {
			go io.Copy(io.Discard, peer)
		}},
		{name: "by the member's death", release: func(_ *testing.T, _ *chanio.Hub, _ *chanio.Session, peer net.Conn, _, _ context.CancelFunc) {
			peer.Close()
		}, err: syscall.EPIPE},
		{name: "by the member's Abort", release: func(_ *testing.T, _ *chanio.Hub, s *chanio.Session, _ net.Conn, _, _ context.CancelFunc) {
			s.Abort(nil)
		}, err: chanio.ErrClosed},
		{name: "by Leave", release: func(_ *testing.T, h *chanio.Hub, s *chanio.Session, _ net.Conn, _, _ context.CancelFunc) {
			h.Leave(s)
		}},
		{name: "by the session's CloseWrite", release: func(t *testing.T, _ *chanio.Hub, s *chanio.Session, _ net.Conn, _, _ context.CancelFunc) {
			require.NoError(t, s.CloseWrite())
		}},
		{name: "by the session's Close", release: func(t *testing.T, _ *chanio.Hub, s *chanio.Session, _ net.Conn, _, _ context.CancelFunc) {
			go s.Close()
		}},
		{name: "by the end of the session's context", release: func(_ *testing.T, _ *chanio.Hub, _ *chanio.Session, _ net.Conn, _, cancel context.CancelFunc) {
			cancel()
		}, err: context.Canceled},
		{name: "by the hub's Close", release: func(t *testing.T, h *chanio.Hub, _ *chanio.Session, _ net.Conn, _, _ context.CancelFunc) {
			require.NoError(t, h.Close())
		}, want: chanio.ErrClosed},
		{name: "by the end of the hub's context", release: func(_ *testing.T, _ *chanio.Hub, _ *chanio.Session, _ net.Conn, cancel, _ context.CancelFunc) {
			cancel()
		}, want: chanio.ErrClosed},
		{name: "by the hub's Shutdown when its context ends", release: func(t *testing.T, h *chanio.Hub, _ *chanio.Session, _ net.Conn, _, _ context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			require.ErrorIs(t, h.Shutdown(ctx), context.Canceled)
		}, want: chanio.ErrClosed},
		{name: "by WriteTimeout", release: func(*testing.T, *chanio.Hub, *chanio.Session, net.Conn, context.CancelFunc, context.CancelFunc) {
			time.Sleep(3 * time.Second)
		}, err: chanio.ErrLagged, after: 3 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hubCtx, cancelHub := context.WithCancel(t.Context())
				sessionCtx, cancelSession := context.WithCancel(t.Context())
				defer cancelHub()
				h := chanio.NewHub(hubCtx, &chanio.Options{Lag: chanio.LagBlock, MaxLag: 1000, WriteTimeout: 3 * time.Second})
				defer h.Close()
				conn, peer := memPair()
				s := chanio.NewSession(sessionCtx, conn, nil)
				defer func() { cancelSession(); peer.Close(); <-s.Done() }()
				require.NoError(t, h.Join(s))
				began := time.Now()
				held := heldPublisher(t, h, 400)
				test.release(t, h, s, peer, cancelHub, cancelSession)
				require.ErrorIs(t, <-held, test.want)
				require.Equal(t, test.after, time.Since(began))
				if test.err != nil {
					<-s.Done()
					require.ErrorIs(t, s.Err(), test.err)
				} else if test.name != "by the session's Close" {
					require.NoError(t, s.Err())
				}
			})
		})
	}
}

func TestLagBlockLosesNothingHoweverSlowAMemberIs(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.Lag, o.MaxLag = chanio.LagBlock, 1000
		h := testHub(t, &o)
		s, peer := joinMem(t, h, nil)
		var want []byte
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 200 {
				m := message(i, 1+i*7%900)
				want = append(want, m...)
				if err := h.Multicast(m); err != nil {
					t.Error(err)
				}
			}
		}()
		var got []byte
		buf := make([]byte, 1000)
		for range 40 { // WriteTimeout is long enough for each write
			time.Sleep(3 * time.Second)
			n, err := io.ReadFull(peer, buf)
			require.NoError(t, err)
			got = append(got, buf[:n]...)
			require.False(t, isClosed(done))
		}
		all := readInto(peer)
		<-done
		require.NoError(t, s.CloseWrite())
		require.Equal(t, want, append(got, <-all...))
	})
}

func TestTheMemberThatHoldsAPublisherForWriteTimeoutEndsWithErrLagged(t *testing.T) {
	for _, test := range []struct {
		name         string
		hub, session time.Duration // WriteTimeout
		want         time.Duration
	}{
		{"the hub's and the session's are the same", 10 * time.Second, 10 * time.Second, 10 * time.Second},
		{"the hub's is shorter", 2 * time.Second, 10 * time.Second, 2 * time.Second},
		{"the session's is shorter", 10 * time.Second, 2 * time.Second, 2 * time.Second},
		{"the session has none", 2 * time.Second, -1, 2 * time.Second},
		{"the hub has none", -1, 2 * time.Second, 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := testHub(t, &chanio.Options{Lag: chanio.LagBlock, MaxLag: 1000, WriteTimeout: test.hub})
				events := h.Events()
				s, _ := joinMem(t, h, &chanio.Options{WriteTimeout: test.session})
				began := time.Now()
				require.NoError(t, <-heldPublisher(t, h, 400))
				require.Equal(t, test.want, time.Since(began))
				<-s.Done()
				require.ErrorIs(t, s.Err(), chanio.ErrLagged)
				require.ErrorIs(t, s.Err(), os.ErrDeadlineExceeded)
				synctest.Wait()
				require.Equal(t, []chanio.EventKind{chanio.EventStarted, chanio.EventJoined, chanio.EventLagged, chanio.EventLeft}, kinds(events))
			})
		})
	}
}

func TestASessionTimeoutDuringTheHubsIsErrLagged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &chanio.Options{Lag: chanio.LagBlock, MaxLag: 1000, WriteTimeout: time.Second})
		s, _ := joinMem(t, h, nil)
		held := heldPublisher(t, h, 400)
		h.StopGate()
		time.Sleep(time.Second)
		stuck, report := h.DismissStuck()
		require.Equal(t, 1, stuck)
		s.WriteExpired() // before the hub ends it
		report()
		<-s.Done()
		require.ErrorIs(t, s.Err(), chanio.ErrLagged)
		require.NoError(t, <-held)
	})
}

func TestProgressRenewsTheHubsWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 64 << 10 // one write each
		h := testHub(t, &chanio.Options{Lag: chanio.LagBlock, MaxLag: 1 << 20, WriteTimeout: time.Second})
		s, peer := joinMem(t, h, &chanio.Options{WriteTimeout: -1})
		held := heldPublisher(t, h, size)
		began := time.Now()
		time.Sleep(600 * time.Millisecond)
		_, err := io.ReadFull(peer, make([]byte, size))
		require.NoError(t, err)
		synctest.Wait()
		require.Empty(t, held, "that was too little")
		require.NoError(t, <-held)
		require.Equal(t, 1600*time.Millisecond, time.Since(began))
		<-s.Done()
		require.ErrorIs(t, s.Err(), chanio.ErrLagged)
	})
}

func TestAnOldTimerDoesNotEndAMemberThatHasJustBegunToHoldPublishers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &chanio.Options{Lag: chanio.LagBlock, MaxLag: 1000})
		s, _ := joinMem(t, h, nil)
		held := heldPublisher(t, h, 400)
		time.Sleep(time.Second)
		h.GateExpired() // the callback of a timer that was stopped too late
		synctest.Wait()
		require.NoError(t, s.Err())
		require.Empty(t, held)
		h.Leave(s)
		require.NoError(t, <-held)
		h.GateExpired()
	})
}

func TestAPublishingHandlerWithAStalledPeerIsReleasedFromLagBlock(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.Lag, o.MaxLag = chanio.LagBlock, 1000
		ln := newMemListener()
		l := chanio.Serve(context.Background(), ln, &o)
		defer l.Close()
		var handlers sync.WaitGroup
		handlers.Go(func() {
			for s := range l.Sessions() {
				handlers.Go(func() {
					defer s.Close()
					for m := range s.Recv() {
						l.Multicast(m)
					}
				})
			}
		})
		rude := ln.dial() // writes and never reads
		polite := ln.dial()
		all := readInto(polite)
		synctest.Wait() // both have joined
		for range 10 {
			_, err := rude.Write(message(0, 400))
			if err != nil {
				break
			}
		}
		rude.Write(message(0, 400))
		synctest.Wait()
		rude.Close()
		polite.CloseWrite()
		require.NotEmpty(t, <-all)
		l.Close()
		handlers.Wait()
	})
}

// A publisher that waited for more than is due to a member would wait for good.
func TestPublishersWaitForNoMoreOfAMembersPartsThanItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &chanio.Options{Lag: chanio.LagBlock})
		slow, _ := joinMem(t, h, &chanio.Options{WriteTimeout: -1})
		_, peer := joinMem(t, h, nil)
		go io.Copy(io.Discard, peer)
		require.NoError(t, h.Multicast([]byte("a")))
		synctest.Wait() // slow is in a write
		for range 200 {
			for range 200 {
				require.NoError(t, h.Multicast([]byte("a")))
				require.NoError(t, h.MulticastExcept([]byte("b"), slow))
			}
			require.NoError(t, h.Multicast([]byte("a"))) // and something after its parts
			var taking sync.WaitGroup
			done := make(chan struct{})
			taking.Go(func() {
				defer close(done)
				for slow.TakeNext() {
				}
			})
			taking.Go(func() {
				for !isClosed(done) {
					slow.IsHeld() // contends for the member
				}
			})
			for !isClosed(done) {
				end, due := slow.PartsEnd()
				require.LessOrEqual(t, end, due)
			}
			taking.Wait()
		}
	})
}
