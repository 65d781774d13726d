package chanio_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/memory"
)

// pipeSessions returns n sessions whose peers neither read nor write.
func pipeSessions(t testing.TB, n int, o *chanio.Options) []*chanio.Session {
	t.Helper()
	sessions := make([]*chanio.Session, n)
	for i := range sessions {
		a, _ := net.Pipe()
		sessions[i] = chanio.NewSession(context.Background(), a, o)
	}
	t.Cleanup(func() {
		for _, s := range sessions {
			s.Abort(nil)
		}
		for _, s := range sessions {
			<-s.Done()
		}
	})
	return sessions
}

func TestTenThousandIdleHubsOfThreeMembersHoldLessThan1KBEach(t *testing.T) {
	const limit = 1024
	each := idleHub(t)
	for try := 0; try < 2 && each >= limit; try++ { // the rest of the process's memory comes and goes
		each = min(each, idleHub(t))
	}
	t.Logf("%d bytes a hub", each)
	require.Less(t, each, int64(limit))
}

// idleHub returns how many bytes each of ten thousand hubs with three members
// holds, its share of its sessions included.
func idleHub(t *testing.T) int64 {
	const hubs, members = 10_000, 300
	sessions := pipeSessions(t, members, nil)
	ctx, cancel := context.WithCancel(t.Context())
	all := make([]*chanio.Hub, hubs)
	before := memory.Live()
	for i := range all {
		all[i] = chanio.NewHub(ctx, nil)
		for j := range 3 {
			require.NoError(t, all[i].Join(sessions[(3*i+j)%members]))
		}
	}
	each := (memory.Live() - before) / hubs
	for _, h := range all {
		require.Equal(t, 3, h.Len())
	}
	cancel()
	for _, h := range all {
		<-h.Done()
	}
	return each
}

func TestTenThousandIdleMembersCostNoGoroutineBeyondTheirSessions(t *testing.T) {
	const members = 10_000
	sessions := pipeSessions(t, members, nil)
	before := runtime.NumGoroutine()
	h := chanio.NewHub(t.Context(), nil)
	for _, s := range sessions {
		require.NoError(t, h.Join(s))
	}
	require.Equal(t, members, h.Len())
	require.LessOrEqual(t, runtime.NumGoroutine(), before)
	h.Close()
	require.LessOrEqual(t, runtime.NumGoroutine(), before)
}

func TestSessionsThatLeaveOneAfterTheOtherHoldMaxLagTogether(t *testing.T) {
	const maxLag, size, leavers = 1 << 20, 32 << 10, 64
	for _, lag := range lagPolicies {
		for _, sessions := range []int{leavers, 1} {
			t.Run(fmt.Sprintf("%v, %d sessions", lag, sessions), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := testHub(t, &chanio.Options{Lag: lag, MaxLag: maxLag})
					stuck := pipeSessions(t, sessions, &chanio.Options{WriteTimeout: -1})
					_, peer := joinMem(t, h, nil)
					before := memory.Live()
					m := make([]byte, size)
					for i := range leavers {
						s := stuck[i%sessions]
						h.Join(s)
						for range maxLag / size {
							require.NoError(t, h.Multicast(m))
							synctest.Wait() // the stuck session is in a write
							_, err := io.ReadFull(peer, m)
							require.NoError(t, err)
						}
						h.Leave(s)
					}
					require.Less(t, memory.Live()-before, int64(leavers*(64<<10)+3*maxLag), "a write each, and MaxLag twice")
					ended := 0
					for _, s := range stuck {
						if s.Err() != nil {
							require.ErrorIs(t, s.Err(), chanio.ErrLagged)
							ended++
						}
					}
					require.Equal(t, lag != chanio.LagDrop, ended > 0, "%d have ended", ended)
					runtime.KeepAlive(stuck)
				})
			})
		}
	}
}

func TestLagBlockWaitsForPastMembersRatherThanLoseTheirMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 400
		h := testHub(t, &chanio.Options{Lag: chanio.LagBlock, MaxLag: 1000})
		_, peer := joinMem(t, h, nil)
		go io.Copy(io.Discard, peer)
		defer peer.Close()
		s, slow := joinMem(t, h, nil)
		var want []byte
		sent := make(chan int, 1)
		go func() {
			i := 0
			for range 20 {
				for range 2 {
					want = append(want, message(i, size)...)
					if err := h.Multicast(message(i, size)); err != nil {
						t.Error(err)
					}
					i++
				}
				h.Leave(s)
				if err := h.Join(s); err != nil {
					t.Error(err)
				}
			}
			sent <- i
		}()
		synctest.Wait()
		require.Empty(t, sent, "the publisher is held")
		got := make([]byte, 40*size)
		for i := range got {
			if i%size == 0 {
				time.Sleep(time.Second) // slow, but within WriteTimeout
			}
			_, err := io.ReadFull(slow, got[i:i+1])
			require.NoError(t, err)
		}
		<-sent
		require.Equal(t, want, got)
		require.NoError(t, s.Err())
	})
}

func TestACrowdThatLeftTakesNoMemoryInARoom(t *testing.T) {
	h := testHub(t, nil)
	crowd := pipeSessions(t, 500, nil)
	for _, s := range crowd {
		require.NoError(t, h.Join(s))
	}
	for _, s := range crowd {
		h.Leave(s)
	}
	require.LessOrEqual(t, h.PlacesRoom(), 8)
}

func TestASessionHoldsNoHubThatItHasLeft(t *testing.T) {
	a, peer := net.Pipe()
	defer peer.Close()
	s := chanio.NewSession(t.Context(), a, nil)
	defer s.Abort(nil)
	const hubs = 3
	gone := make(chan struct{}, hubs)
	for range hubs {
		h := chanio.NewHub(context.Background(), nil)
		runtime.AddCleanup(h, func(struct{}) { gone <- struct{}{} }, struct{}{})
		require.NoError(t, h.Join(s))
		require.NoError(t, h.Multicast([]byte("hello")))
		read(t, peer, "hello")
		h.Leave(s)
		require.NoError(t, h.Flush(t.Context()))
		require.NoError(t, h.Close())
	}
	require.NoError(t, s.Put([]byte("x"))) // the writer has seen that it left
	read(t, peer, "x")
	require.NoError(t, s.Flush(t.Context()))
	memory.AwaitCollected(t, gone, hubs)
	require.NoError(t, s.Err())
}
