//go:build unix

package natsroom_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// TestMembersOfAnyFramingGetThePastAndWhatFollows puts sessions with framings
// of their own in one room. Each hears its past, batches and what follows.
func TestMembersOfAnyFramingGetThePastAndWhatFollows(t *testing.T) {
	s := testServer(t)
	a := join(t, connect(t, s.URL()), "x", historyOptions, nil)
	b := join(t, connect(t, s.URL()), "x", historyOptions, nil)
	batch := chanio.NewBatch()
	for _, m := range []string{"zero", "one", "two"} {
		batch.Append([]byte(m))
	}
	require.NoError(t, a.room.PublishBatch(batch))
	a.flush(t)
	var peers []net.Conn
	for _, framing := range []chanio.Framing{chanio.Lines{}, chanio.LengthPrefix{Size: 2}, nil} {
		conn, peer := net.Pipe()
		session := chanio.NewSession(context.Background(), conn, &chanio.Options{Framing: framing})
		t.Cleanup(func() { session.Abort(nil); peer.Close(); <-session.Done() })
		replayed := make(chan error, 1)
		go func() { replayed <- b.room.Replay(session, 2, time.Time{}) }()
		hearsBytes(t, peer, framed(t, framing, "one", "two"))
		require.NoError(t, <-replayed)
		peers = append(peers, peer)
	}
	require.NoError(t, a.room.PublishBatch(batch))
	require.NoError(t, b.room.Publish([]byte("end")))
	for i, framing := range []chanio.Framing{chanio.Lines{}, chanio.LengthPrefix{Size: 2}, nil} {
		got := framed(t, framing, "zero", "one", "two")
		end := framed(t, framing, "end")
		heard := make([]byte, len(got)+len(end))
		require.NoError(t, peers[i].SetReadDeadline(time.Now().Add(patience)))
		_, err := io.ReadFull(peers[i], heard)
		require.NoError(t, err)
		require.Contains(t, []string{got + end, end + got}, string(heard)) // of two nodes
	}
}

func TestAMessageThatASessionCannotBeSentKeepsItOutOfNoReplay(t *testing.T) {
	s := testServer(t)
	a := join(t, connect(t, s.URL()), "x", historyOptions, nil)
	for _, m := range []string{"one", "t\nwo", "three", "fo\nur"} {
		require.NoError(t, a.room.Publish([]byte(m)))
	}
	a.flush(t)
	for _, c := range []struct {
		last int
		past string
	}{{0, "one\nthree\n"}, {3, "three\nend\n"}} {
		conn, peer := net.Pipe()
		session := chanio.NewSession(context.Background(), conn, &chanio.Options{Framing: chanio.Lines{}})
		t.Cleanup(func() { session.Abort(nil); peer.Close(); <-session.Done() })
		replayed := make(chan error, 1)
		go func() { replayed <- a.room.Replay(session, c.last, time.Time{}) }()
		hearsBytes(t, peer, c.past)
		require.NoError(t, <-replayed)
		require.NoError(t, a.room.Publish([]byte("end")))
		hearsBytes(t, peer, "end\n")
		session.Abort(nil)
	}
	failures := 0
	for failures < 3 { // two to one session, one to the other
		if e := <-a.room.Events(); e.Kind == chanio.EventFailed {
			require.ErrorContains(t, e.Err, "newline")
			failures++
		}
	}
}

// framed returns messages as they look on a stream with framing.
func framed(t *testing.T, framing chanio.Framing, messages ...string) string {
	t.Helper()
	var b []byte
	for _, m := range messages {
		if framing == nil {
			b = append(b, m...)
			continue
		}
		var err error
		b, err = framing.AppendFrame(b, []byte(m))
		require.NoError(t, err)
	}
	return string(b)
}

func hearsBytes(t *testing.T, from net.Conn, want string) {
	t.Helper()
	require.NoError(t, from.SetReadDeadline(time.Now().Add(patience)))
	heard := make([]byte, len(want))
	_, err := io.ReadFull(from, heard)
	require.NoError(t, err)
	require.Equal(t, want, string(heard))
}
