package chanio

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// liveHeap returns how many bytes are reachable.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // what the first has found to be garbage is gone
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// pipeSessions returns n sessions whose peers neither read nor write.
func pipeSessions(t testing.TB, n int, o *Options) []*Session {
	t.Helper()
	sessions := make([]*Session, n)
	for i := range sessions {
		a, _ := net.Pipe()
		sessions[i] = NewSession(context.Background(), a, o)
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
	const hubs, members = 10_000, 300
	sessions := pipeSessions(t, members, nil)
	ctx, cancel := context.WithCancel(t.Context())
	all := make([]*Hub, hubs)
	before := liveHeap()
	for i := range all {
		all[i] = NewHub(ctx, nil)
		for j := range 3 {
			require.NoError(t, all[i].Join(sessions[(3*i+j)%members]))
		}
	}
	each := (liveHeap() - before) / hubs
	t.Logf("%d bytes a hub", each)
	require.Less(t, each, int64(1024))
	for _, h := range all {
		require.Equal(t, 3, h.Len())
	}
	cancel()
	for _, h := range all {
		<-h.Done()
	}
}

func TestTenThousandIdleMembersCostNoGoroutineBeyondTheirSessions(t *testing.T) {
	const members = 10_000
	sessions := pipeSessions(t, members, nil)
	before := runtime.NumGoroutine()
	h := NewHub(t.Context(), nil)
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
		for _, test := range []struct {
			name     string
			sessions int
		}{{"many sessions", leavers}, {"one that comes back", 1}} {
			t.Run(fmt.Sprintf("%v, %s", lag, test.name), func(t *testing.T) {
				h := testHub(t, &Options{Lag: lag, MaxLag: maxLag})
				stuck := pipeSessions(t, test.sessions, &Options{WriteTimeout: -1})
				conn, peer := net.Pipe()
				healthy := NewSession(context.Background(), conn, nil)
				defer func() { healthy.Abort(nil); <-healthy.Done() }()
				require.NoError(t, h.Join(healthy))
				before := liveHeap()
				m := make([]byte, size)
				for i := range leavers {
					s := stuck[i%test.sessions]
					h.Join(s)
					for range maxLag / size {
						require.NoError(t, h.Multicast(m))
						_, err := io.ReadFull(peer, m)
						require.NoError(t, err)
					}
					h.Leave(s)
				}
				require.Less(t, liveHeap()-before, int64(leavers*(64<<10)+3*maxLag), "a write each, and MaxLag twice")
				ended := 0
				for _, s := range stuck {
					if s.Err() != nil {
						require.ErrorIs(t, s.Err(), ErrLagged)
						ended++
					}
				}
				require.Equal(t, lag != LagDrop, ended > 0, "%d have ended", ended)
				runtime.KeepAlive(stuck)
			})
		}
	}
}
