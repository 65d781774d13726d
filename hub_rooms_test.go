package chanio_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
	"example.com/chanio/internal/test/memory"
)

// visitRoom lets n sessions that leave input unread join h and end, one after
// another.
func visitRoom(t *testing.T, h *chanio.Hub, n int) {
	t.Helper()
	for range n {
		a, b := net.Pipe()
		s := chanio.NewSession(t.Context(), a, nil)
		require.NoError(t, h.Join(s))
		require.NoError(t, h.Multicast([]byte("hello")))
		s.Abort(nil)
		b.Close()
		<-s.Done()
	}
}

func TestAnIdleRoomHoldsLessThan1KBAfterItsVisitors(t *testing.T) {
	const rooms, visitors, limit = 2000, 40, 1024
	least := int64(1 << 40)
	for try := 0; try < 4 && least >= limit; try++ { // the rest of the process's memory comes and goes
		all := make([]*chanio.Hub, rooms)
		before := memory.Live()
		for i := range all {
			all[i] = chanio.NewHub(t.Context(), nil)
			visitRoom(t, all[i], visitors)
		}
		least = min(least, (memory.Live()-before)/rooms)
		for _, h := range all {
			require.NoError(t, h.Close())
		}
	}
	t.Logf("%d bytes a room", least)
	require.Less(t, least, int64(limit))
}

func TestPublishingToAnIdleRoomWakesAFewAndLeavesTheOthersToAGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const members = 5 * chanio.WakeAtOnce
		h := testHub(t, nil)
		var peers []*chaniotest.Conn
		for range members {
			_, peer := joinMem(t, h, nil)
			peers = append(peers, peer)
		}
		woken, due, waking, finish := h.BeginPublish([]byte("one"))
		require.Equal(t, chanio.WakeAtOnce, woken)
		require.EqualValues(t, members-chanio.WakeAtOnce, due)
		require.True(t, waking)
		finish()
		require.NoError(t, h.Multicast([]byte("two"))) // beside the waker
		for _, peer := range peers {
			read(t, peer, "onetwo")
		}
		synctest.Wait()
		parked, due, waking := h.Wakes()
		require.False(t, waking, "it has ended")
		require.EqualValues(t, members, parked)
		require.Zero(t, due)
	})
}

func TestJoinAndLeaveOfDueMembersNotYetWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const members = 4 * chanio.WakeAtOnce
		h := testHub(t, nil)
		var sessions []*chanio.Session
		var all []<-chan []byte
		for range members {
			s, peer := joinMem(t, h, nil)
			sessions = append(sessions, s)
			all = append(all, readInto(peer))
		}
		for i := range 50 {
			require.NoError(t, h.Multicast(fmt.Appendf(nil, "%d,", i)))
			for j, s := range sessions {
				if j%4 == 0 {
					h.Leave(s)
					require.NoError(t, h.Join(s))
				}
			}
		}
		for _, s := range sessions {
			require.NoError(t, s.CloseWrite())
		}
		for i := range sessions {
			require.Equal(t, 50, strings.Count(string(<-all[i]), ","), "member %d", i)
		}
		require.Zero(t, h.Places())
	})
}

func TestJoinAndLeaveLookAtNoOtherRoomOfASession(t *testing.T) {
	s := pipeSessions(t, 1, nil)[0]
	for range 10 * chanio.FewHubs {
		require.NoError(t, testHub(t, nil).Join(s))
	}
	h := testHub(t, nil)
	require.NoError(t, h.Join(s))
	require.Equal(t, 10*chanio.FewHubs+1, s.IndexedHubs())
	s.WithoutOtherPlaces(func() {
		h.Leave(s)
		require.NoError(t, h.Join(s))
		require.NoError(t, h.Join(s), "which has no effect")
	})
	h.Leave(s)
	require.Equal(t, 10*chanio.FewHubs, s.MemberPlaces())
	require.True(t, s.HubIndexIsRight())
}

// BenchmarkJoinLeaveOfASessionInManyRooms must not depend on the number of
// rooms.
func BenchmarkJoinLeaveOfASessionInManyRooms(b *testing.B) {
	for _, rooms := range []int{1, 100, 32_000} {
		b.Run(fmt.Sprint(rooms), func(b *testing.B) {
			s := pipeSessions(b, 1, nil)[0]
			for range rooms {
				require.NoError(b, chanio.NewHub(b.Context(), nil).Join(s))
			}
			h := testHub(b, nil)
			b.ReportAllocs()
			for b.Loop() {
				h.Join(s)
				h.Leave(s)
			}
		})
	}
}

// BenchmarkPublishToAnIdleRoom measures what the publisher pays for a message
// to members that are all idle.
func BenchmarkPublishToAnIdleRoom(b *testing.B) {
	for _, members := range []int{100, 1000, 20_000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) {
			h := sinkHub(b, members, nil)
			for b.Loop() {
				h.Multicast([]byte("x"))
				b.StopTimer()
				h.Flush(b.Context())
				b.StartTimer()
			}
		})
	}
}
