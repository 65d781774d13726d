package chanio

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// earlySessions returns sessions for events to be about, every third of which
// has ended.
func earlySessions(t *testing.T, n int) []*Session {
	sessions := make([]*Session, n)
	for i := range sessions {
		sessions[i] = deadSession(context.Background(), nil)
		if i%3 != 0 {
			sessions[i] = new(Session)
		}
		require.Equal(t, i%3 == 0, sessions[i].over())
	}
	return sessions
}

func TestAFullRingDropsEndedSessionsAndKeepsTheOrderOfTheOthers(t *testing.T) {
	const limit = 16
	sessions := earlySessions(t, limit)
	live := new(Session)
	for turn := range limit { // the ring may begin anywhere
		var r earlyEvents
		for range limit + turn {
			r.add(Event{Kind: EventJoined, Session: live, Time: time.Now()}, limit, false)
		}
		for i := range r.ring { // as if they had come in this order
			s := sessions[i]
			r.ring[r.index(int32(i))] = early(Event{Kind: EventLeft, Session: s, Time: time.Now()}, true)
		}
		require.EqualValues(t, 6, r.add(Event{Kind: EventLagged, Session: live, Time: time.Now()}, limit, true))
		var got []*Session
		for e := range r.all {
			event, ok := e.event()
			require.True(t, ok)
			got = append(got, event.Session)
		}
		var want []*Session
		for i, s := range sessions {
			if i%3 != 0 {
				want = append(want, s)
			}
		}
		require.Equal(t, append(want, live), got, "turn %d", turn)
	}
}

func TestAnEventForAFullRingAllocatesNothing(t *testing.T) {
	const limit = 64
	var r earlyEvents
	live := new(Session)
	e := Event{Kind: EventJoined, Session: live, Time: time.Now()}
	for range limit {
		r.add(e, limit, true)
	}
	require.Zero(t, testing.AllocsPerRun(100, func() { r.add(e, limit, true) }))
}
