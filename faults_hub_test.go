package chanio_test

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

// However bad the links of a hub's members are, each member gets the messages
// whole, in order and once, and all of them if its link allows that. The bad
// links take nothing from the good ones.
func TestMulticastOverRandomLinks(t *testing.T) {
	policies := []chanio.LagPolicy{chanio.LagDisconnect, chanio.LagDrop, chanio.LagBlock}
	for seed := range uint64(90) {
		policy := policies[seed%3]
		t.Run(fmt.Sprintf("%d %v", seed, policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { multicastOver(t, seed, policy) })
		})
	}
}

func multicastOver(t *testing.T, seed uint64, policy chanio.LagPolicy) {
	const members, messages = 6, 200
	ln := chaniotest.NewListener()
	l := chanio.Serve(t.Context(), ln, &chanio.Options{
		Framing: chanio.Lines{}, Lag: policy, MaxLag: 1 << 20,
		RecvQueue: faultQueues[seed/3%3].size, SendQueue: faultQueues[seed/3%3].size,
		WriteTimeout: time.Minute, CloseTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
	})
	bytes := 0
	var want []string
	for i := range messages {
		want = append(want, fmt.Sprintf("%d %s", i, strings.Repeat("x", i%40)))
		bytes += len(want[i]) + 1
	}

	var all sync.WaitGroup
	var sessions []*chanio.Session
	for i := range members {
		link := chaniotest.RandomLink(seed*members+uint64(i), int64(bytes))
		switch i {
		case 0:
			link = nil
		case 1: // vanishes
			link.Down.Faults = []chaniotest.Fault{{Kind: chaniotest.Stall, At: int64(bytes / 2)}}
			link.Down.Buffer = 300
		}
		conn, err := ln.Dial(t.Context(), link)
		require.NoError(t, err)
		s := <-l.Sessions()
		sessions = append(sessions, s)
		all.Go(func() {
			defer s.Close()
			for range s.Recv() {
			}
		})
		all.Go(func() {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(time.Hour)) // a member that has vanished sends nothing, not even the end
			text, _ := io.ReadAll(conn)
			requireInOrder(t, link, want, strings.SplitAfter(string(text), "\n"))
		})
	}
	for i, m := range want {
		require.NoError(t, l.Multicast([]byte(m)))
		if i%50 == 0 {
			time.Sleep(time.Second)
		}
	}
	for _, s := range sessions {
		s.CloseWrite()
	}
	all.Wait()
	for _, s := range sessions {
		<-s.Done()
	}
	require.NoError(t, l.Close())
}

// requireInOrder checks what a member got: lines with their ends.
func requireInOrder(t *testing.T, link *chaniotest.Link, want, got []string) {
	t.Helper()
	last := got[len(got)-1] // the rest after the last end of a line
	got = got[:len(got)-1]
	for i, line := range got {
		if line != want[i]+"\n" {
			t.Errorf("line %d is %q: %v", i, line, link)
			return
		}
	}
	if len(got) < len(want) && !strings.HasPrefix(want[len(got)], last) {
		t.Errorf("%q is no beginning of %q: %v", last, want[len(got)], link)
	}
	if (link == nil || !breaks(link)) && len(got) != len(want) {
		t.Errorf("got %d of %d: %+v", len(got), len(want), link)
	}
}
