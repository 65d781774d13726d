package chanio

import (
	"context"
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
