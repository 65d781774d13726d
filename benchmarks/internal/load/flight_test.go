package load

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFlightReturnsMessagesInOrderWithTheirTimes(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	type landing struct {
		n    int
		sent time.Time
	}
	var landed []landing
	land := func(n int, sent time.Time) { landed = append(landed, landing{n, sent}) }

	var f flight
	f.push(3, at(1))
	f.push(2, at(2))
	f.pop(2, land)
	f.pop(2, land)
	require.Equal(t, []landing{{2, at(1)}, {1, at(1)}, {1, at(2)}}, landed)
	f.pop(100, land)
	require.Equal(t, landing{1, at(2)}, landed[3])
	require.Len(t, landed, 4, "what is not in flight does not land")

	landed = nil
	for i := range int64(100) { // through its memory more than once
		f.push(2, at(i))
		f.pop(int(1+i%3), land)
	}
	f.pop(200, land)
	sum, last := 0, at(0)
	for _, l := range landed {
		require.False(t, l.sent.Before(last))
		sum, last = sum+l.n, l.sent
	}
	require.Equal(t, 200, sum)
	require.Equal(t, at(99), last)
}
