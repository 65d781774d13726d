//go:build unix

package natsroom_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/natsroom"
)

// stalledPlace is a node whose hub takes nothing: its member reads only when
// told to.
func stalledPlace(t *testing.T, url string, o *natsroom.Options) (p place, read func() *listener) {
	t.Helper()
	p = join(t, connect(t, url), "x", o, &chanio.Options{Lag: chanio.LagBlock, MaxLag: 1 << 10, WriteTimeout: -1})
	conn, peer := net.Pipe()
	s := chanio.NewSession(context.Background(), conn, &chanio.Options{WriteTimeout: -1})
	t.Cleanup(func() { s.Abort(nil); peer.Close(); <-s.Done() })
	require.NoError(t, p.hub.Join(s))
	p.flush(t)
	return p, func() *listener {
		l := &listener{s, peer, make(chan string, 1<<16)}
		go l.read()
		return l
	}
}

func TestANodesQueueForNATSIsBounded(t *testing.T) {
	const bound, messages = 64 << 10, 2000
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			s := testServer(t)
			small := natsroom.Options{MaxPending: bound}
			large := natsroom.Options{}
			if k.o != nil {
				small.History, large.History = k.o.History, k.o.History
			}
			a := join(t, connect(t, s.URL()), "x", &large, nil)
			ear := a.members(t, 1)[0]
			b, read := stalledPlace(t, s.URL(), &small)
			pad := strings.Repeat(".", 500)
			var want []string
			for i := range messages { // a slow node does not hold up others
				line := fmt.Sprint(i, " ", pad)
				want = append(want, line)
				a.publish(t, line)
				require.LessOrEqual(t, b.room.Stats().BytesPending, int64(bound))
			}
			a.flush(t)
			ear.hears(t, want...)
			require.LessOrEqual(t, b.room.Stats().BytesPending, int64(bound))

			slow := read()
			a.publish(t, "end")
			if k.o != nil {
				require.Equal(t, append(want, "end"), untilEnd(t, slow), "all is in the stream")
				require.Zero(t, b.room.Stats().MessagesDropped)
				return
			}
			var got int64
			eventually(t, patience, func() bool {
				for len(slow.lines) > 0 {
					<-slow.lines
					got++
				}
				return got+b.room.Stats().MessagesDropped == messages+1
			}, "what is missing is reported")
			require.Positive(t, b.room.Stats().MessagesDropped)
		})
	}
}

func TestPublishBoundsItsWaitForAcknowledgements(t *testing.T) {
	s := testServer(t)
	at := newProxy(t, strings.TrimPrefix(s.URL(), "nats://"))
	a := join(t, connect(t, at.url()), "x", &natsroom.Options{
		History: &natsroom.History{}, MaxPending: 1000, PublishTimeout: 100 * time.Millisecond,
	}, nil)
	at.sever()
	var err error
	said := 0
	for err == nil {
		if err = a.room.Publish(fmt.Appendln(nil, said)); err == nil {
			said++
		}
		require.Less(t, said, 1000)
	}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.ErrorContains(t, err, "PublishTimeout")
	require.Positive(t, said)
	at.resume()
	a.flush(t)
	reader := join(t, connect(t, s.URL()), "x", historyOptions, nil)
	ear := listen(t, nil)
	require.NoError(t, reader.room.Replay(ear.s, 0, time.Time{}))
	for i := range said {
		ear.hears(t, fmt.Sprint(i))
	}
}
