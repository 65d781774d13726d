//go:build unix

package natsroom_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/natsroom"
)

func TestReplaySendsTheLastAndThenWhatFollows(t *testing.T) {
	s := testServer(t)
	a := join(t, connect(t, s.URL()), "x", historyOptions, nil)
	b := join(t, connect(t, s.URL()), "x", historyOptions, nil)
	other := join(t, connect(t, s.URL()), "y", historyOptions, nil)
	for i := range 10 {
		a.publish(t, fmt.Sprint(i))
		for range 50 { // of the same stream
			other.publish(t, "elsewhere")
		}
	}
	batch := chanio.NewBatch()
	for i := 10; i < 20; i++ {
		batch.Append(fmt.Appendln(nil, i))
	}
	a.flush(t)
	other.flush(t)
	middle := time.Now()
	require.NoError(t, a.room.PublishBatch(batch))
	a.flush(t)
	numbers := func(from int) (lines []string) {
		for i := from; i < 20; i++ {
			lines = append(lines, fmt.Sprint(i))
		}
		return lines
	}
	for _, test := range []struct {
		name  string
		last  int
		since time.Time
		want  []string
	}{
		{"all", 0, time.Time{}, numbers(0)},
		{"more than there are", 100, time.Time{}, numbers(0)},
		{"the last few, of a batch", 3, time.Time{}, numbers(17)},
		{"the last few", 13, time.Time{}, numbers(7)},
		{"since", 0, middle, numbers(10)},
		{"the last since", 3, middle, numbers(17)},
		{"fewer since than asked for", 15, middle, numbers(10)},
		{"since now", 0, time.Now().Add(time.Hour), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			ear := listen(t, nil)
			require.NoError(t, b.room.Replay(ear.s, test.last, test.since))
			require.Equal(t, 1, b.hub.Len())
			require.NoError(t, b.hub.Multicast([]byte("live\n")))
			ear.hears(t, append(test.want, "live")...)
			require.ErrorContains(t, b.room.Replay(ear.s, 1, time.Time{}), "a member already")
			b.hub.Leave(ear.s)
		})
	}
	require.ErrorContains(t, b.room.Replay(listen(t, nil).s, -1, time.Time{}), "-1")
	gone := listen(t, nil)
	gone.s.Abort(nil)
	require.ErrorIs(t, b.room.Replay(gone.s, 0, time.Time{}), chanio.ErrClosed)
	b.room.Close()
	require.ErrorIs(t, b.room.Replay(listen(t, nil).s, 0, time.Time{}), chanio.ErrClosed)
}

func TestReplayOfAnEmptyRoomAnswersAtOnce(t *testing.T) {
	s := testServer(t)
	nc := connect(t, s.URL())
	for i := range 20 {
		p := join(t, nc, fmt.Sprint("new", i), historyOptions, nil)
		ear := listen(t, nil)
		before := time.Now()
		require.NoError(t, p.room.Replay(ear.s, 50, time.Time{}))
		require.Less(t, time.Since(before), patience)
		p.publish(t, "first")
		ear.hears(t, "first")
	}
}

// TestReplayHasNoSeam joins while four publishers on two nodes go on. From its
// first message on, each session must hear exactly what the room's first member
// heard.
func TestReplayHasNoSeam(t *testing.T) {
	joins := 50
	if *full {
		joins = 1000
	}
	s := testServer(t)
	a := join(t, connect(t, s.URL()), "x", historyOptions, nil)
	b := join(t, connect(t, s.URL()), "x", historyOptions, nil)
	witness := a.members(t, 1)[0]
	stop := make(chan struct{})
	var publishers sync.WaitGroup
	for i := range 4 {
		p := []place{a, b}[i%2]
		publishers.Go(func() {
			for seq := 0; ; seq++ {
				if err := p.room.Publish(fmt.Appendf(nil, "%d %d\n", i, seq)); err != nil {
					t.Error(err)
					return
				}
				select {
				case <-stop:
					return
				case <-time.After(4 * time.Millisecond):
				}
			}
		})
	}
	var staying []*listener // a few at a time: publishers go on
	var heard [][]string
	leave := func() {
		first := staying[0]
		staying = staying[1:]
		heard = append(heard, takeLeave(t, first, 70))
	}
	for i := range joins {
		ear := listen(t, nil)
		require.NoError(t, []place{a, b}[i%2].room.Replay(ear.s, 20, time.Time{}))
		if staying = append(staying, ear); len(staying) > 10 {
			leave()
		}
	}
	for len(staying) > 0 {
		leave()
	}
	close(stop)
	publishers.Wait()
	a.flush(t)
	b.flush(t)
	a.publish(t, "end")
	all := untilEnd(t, witness)
	place := make(map[string]int)
	for i, line := range all {
		place[line] = i
	}
	for i, got := range heard {
		first, known := place[got[0]]
		require.True(t, known, got[0])
		require.Equal(t, all[first:first+len(got)], got, "join %d", i)
	}
	t.Logf("%d joins, %d messages", joins, len(all))
}

// takeLeave has l hear at least least lines, and leave. It returns everything
// that l heard.
func takeLeave(t testing.TB, l *listener, least int) (lines []string) {
	t.Helper()
	for closing := false; ; {
		select {
		case line, ok := <-l.lines:
			if !ok {
				require.True(t, closing, l.s.Err())
				return lines
			}
			lines = append(lines, line)
		case <-time.After(patience):
			require.Fail(t, "nothing more was heard")
		}
		if len(lines) >= least && !closing {
			closing = true
			go l.s.Close() // which waits until everything that was sent is read
		}
	}
}

// untilEnd returns everything heard up to "end", which is included.
func untilEnd(t testing.TB, l *listener) (lines []string) {
	t.Helper()
	for {
		select {
		case line, ok := <-l.lines:
			require.True(t, ok, l.s.Err())
			lines = append(lines, line)
			if line == "end" {
				return lines
			}
		case <-time.After(patience):
			require.Fail(t, "the end was not heard")
		}
	}
}

func TestASlowSessionIsReplayedAtItsOwnPace(t *testing.T) {
	s := testServer(t)
	a := join(t, connect(t, s.URL()), "x", historyOptions, nil)
	ear := a.members(t, 1)[0]
	line := strings.Repeat("x", 10_000)
	for range 3000 { // 30 MB: more than a hub holds
		a.publish(t, line)
	}
	a.flush(t)
	slow := listen(t, nil) // it has room for 65,536 lines
	require.NoError(t, a.room.Replay(slow.s, 0, time.Time{}))
	a.publish(t, "end")
	require.Len(t, untilEnd(t, slow), 3001)
	require.Len(t, untilEnd(t, ear), 3001)
}

func TestMessagesNoLongerKeptAreReportedAsLost(t *testing.T) {
	o := &natsroom.Options{History: &natsroom.History{MaxPublishes: 10}}
	s := testServer(t)
	at := newProxy(t, strings.TrimPrefix(s.URL(), "nats://"))
	a := join(t, connect(t, s.URL()), "x", o, nil)
	b := join(t, connect(t, at.url()), "x", o, nil)
	ear := b.members(t, 1)[0]
	a.publish(t, "before")
	ear.hears(t, "before")
	at.sever()
	for i := range 100 {
		a.publish(t, fmt.Sprint(i))
		a.flush(t)
	}
	at.resume()
	for i := 90; i < 100; i++ {
		ear.hears(t, fmt.Sprint(i))
	}
	eventually(t, patience, func() bool { return b.room.Stats().MessagesDropped == 90 }, "it is not reported")
	var lagged int
	for lagged < 90 {
		if e := <-b.room.Events(); e.Kind == chanio.EventLagged {
			lagged += e.Count
			require.ErrorContains(t, e.Err, "kept no longer")
		}
	}
	require.Equal(t, 90, lagged)
}
