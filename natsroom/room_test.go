package natsroom_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/natsroom"
	"example.com/chanio/natsroom/embedded"
)

// kinds are rooms with and without a history.
var kinds = []struct {
	name string
	o    *natsroom.Options
}{
	{"live", nil},
	{"history", &natsroom.Options{History: &natsroom.History{}}},
}

func TestMembersOfAllNodesHearAPublication(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			s := testServer(t)
			a := join(t, connect(t, s.URL()), "lobby", k.o, nil)
			b := join(t, connect(t, s.URL()), "lobby", k.o, nil)
			other := join(t, connect(t, s.URL()), "lobby.two", k.o, nil)
			ears := append(a.members(t, 2), b.members(t, 1)...)
			far := other.members(t, 1)[0]
			a.publish(t, "from a")
			a.flush(t)
			b.publish(t, "from b")
			batch := chanio.NewBatch()
			batch.Append([]byte("first\n"))
			batch.Append([]byte("second\n"))
			b.flush(t)
			require.NoError(t, a.room.PublishBatch(batch))
			batch.Release()
			for _, ear := range ears {
				ear.hears(t, "from a", "from b", "first", "second")
			}
			other.publish(t, "elsewhere")
			far.hears(t, "elsewhere")
			require.Zero(t, a.room.Stats().MessagesDropped)
			require.EqualValues(t, 3, a.room.Stats().MessagesSent)
			require.EqualValues(t, 4, b.room.Stats().MessagesReceived)
		})
	}
}

func TestMembersOfAllNodesAreCounted(t *testing.T) {
	s := testServer(t)
	nca := connect(t, s.URL())
	a := join(t, nca, "x", nil, nil)
	b := join(t, connect(t, s.URL()), "x", nil, nil)
	heart := watchBeats(t, s.URL())
	nodes := 2
	count := func(p place, n int) {
		t.Helper()
		heart.await(t, nodes, p.room, n)
	}
	ears := a.members(t, 3)
	b.members(t, 2)
	count(a, 5)
	count(b, 5)
	c := join(t, connect(t, s.URL()), "x", nil, nil)
	nodes = 3
	count(c, 5)
	a.hub.Leave(ears[0].s)
	ears[1].s.Abort(nil)
	count(b, 3)
	count(c, 3)
	b.room.Close()
	nodes = 2
	count(c, 1)
	nca.Close()
	nodes = 1
	count(c, 0)
	awaitDone(t, a.room)
	require.ErrorIs(t, a.room.Err(), nats.ErrConnectionClosed)
	require.ErrorIs(t, a.room.Err(), chanio.ErrClosed)
}

func awaitDone(t testing.TB, r *natsroom.Room) {
	t.Helper()
	select {
	case <-r.Done():
	case <-time.After(patience):
		require.Fail(t, "the room did not end")
	}
}

func TestARoomWithoutMembersCostsNoSubscription(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			s := testServer(t)
			nc := connect(t, s.URL())
			empty := join(t, nc, "empty", k.o, nil)
			empty.publish(t, "no member hears this")
			empty.flush(t)
			of := nc.NumSubscriptions()
			p := join(t, nc, "full", k.o, nil)
			require.Equal(t, of, nc.NumSubscriptions())
			ear := p.members(t, 1)[0]
			require.Equal(t, of+1, nc.NumSubscriptions())
			p.publish(t, "hello")
			ear.hears(t, "hello")
			p.hub.Leave(ear.s)
			eventually(t, patience, func() bool { return nc.NumSubscriptions() == of }, "it is left")
			p.publish(t, "no member hears this")
			require.NoError(t, p.hub.Join(ear.s))
			p.publish(t, "hello again")
			ear.hears(t, "hello again")
			require.Zero(t, p.room.Stats().MessagesDropped)
			p.room.Close()
			eventually(t, patience, func() bool { return nc.NumSubscriptions() == of }, "it is closed")
		})
	}
}

// TestWhatIsLostOnceAPublisherIsKnownIsReported cuts off a node that knows how
// far a publisher has come, but has no message from it yet.
func TestWhatIsLostOnceAPublisherIsKnownIsReported(t *testing.T) {
	s := testServer(t)
	at := newProxy(t, strings.TrimPrefix(s.URL(), "nats://"))
	a := join(t, connect(t, s.URL()), "x", nil, nil)
	for range 5 {
		a.publish(t, "before")
	}
	b := join(t, connect(t, at.url()), "x", nil, nil)
	ear := b.members(t, 1)[0]
	eventually(t, patience, func() bool { return b.room.Sources() == 2 }, "it does not know where both publishers are")
	at.sever()
	for range 10 {
		a.publish(t, "lost")
	}
	a.flush(t)
	at.resume()
	eventually(t, patience, func() bool { return b.room.Stats().MessagesDropped > 0 }, "no loss is reported")
	a.publish(t, "after")
	ear.hears(t, "after")
	require.EqualValues(t, 10, b.room.Stats().MessagesDropped)
}

func TestAMemberHearsWhatIsPublishedAfterItJoined(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			s := testServer(t)
			p := join(t, connect(t, s.URL()), "x", k.o, nil)
			for i := range 50 {
				p.publish(t, "before")
				ear := listen(t, nil)
				require.NoError(t, p.hub.Join(ear.s))
				p.publish(t, fmt.Sprint(i)) // without a Flush
				line := <-ear.lines
				for line == "before" { // what is still in flight for a member that has left
					line = <-ear.lines
				}
				require.Equal(t, fmt.Sprint(i), line)
				p.hub.Leave(ear.s)
			}
		})
	}
}

func TestBadNamesAreErrorsThatNameThem(t *testing.T) {
	s := testServer(t)
	nc := connect(t, s.URL())
	hub := chanio.NewHub(context.Background(), nil)
	defer hub.Close()
	for _, name := range []string{"", "a room", "a*", "all.>", ".a", "a.", "a..b", "a\tb", "a\n", "\x00", "\xff", "$SYS", strings.Repeat("x", 1025)} {
		_, err := natsroom.Join(t.Context(), nc, name, hub, nil)
		require.ErrorContains(t, err, fmt.Sprintf("%q", name))
		require.ErrorContains(t, err, "chanio: join of room ")
	}
	_, err := natsroom.Join(t.Context(), nc, "x", hub, &natsroom.Options{Prefix: "a b"})
	require.ErrorContains(t, err, "Options.Prefix")
	_, err = natsroom.Join(t.Context(), nc, "x", hub, &natsroom.Options{MaxPending: -1})
	require.ErrorContains(t, err, "Options.MaxPending")
	_, err = natsroom.Join(t.Context(), nil, "x", hub, nil)
	require.ErrorContains(t, err, "connection is nil")
	_, err = natsroom.Join(t.Context(), nc, "x", nil, nil)
	require.ErrorContains(t, err, "hub is nil")
	room, err := natsroom.Join(t.Context(), nc, "schach.tisch-7", hub, nil)
	require.NoError(t, err)
	_, err = natsroom.Join(t.Context(), nc, "schach.tisch-7", hub, nil)
	require.ErrorContains(t, err, "joined it already")
	require.NoError(t, room.Close())
	room, err = natsroom.Join(t.Context(), nc, "schach.tisch-7", hub, nil)
	require.NoError(t, err)
	require.NoError(t, room.Close())
	hub.Close()
	_, err = natsroom.Join(t.Context(), nc, "x", hub, nil)
	require.ErrorIs(t, err, chanio.ErrClosed)
}

func TestHistoryNeedsJetStream(t *testing.T) {
	s, err := embedded.Start(t.Context(), nil)
	require.NoError(t, err)
	defer s.Close()
	nc, err := s.Connect()
	require.NoError(t, err)
	defer nc.Close()
	hub := chanio.NewHub(t.Context(), nil)
	defer hub.Close()
	_, err = natsroom.Join(t.Context(), nc, "x", hub, &natsroom.Options{History: &natsroom.History{}})
	require.ErrorContains(t, err, "no JetStream")
	require.ErrorContains(t, err, "Options.History")

	p := join(t, nc, "live", nil, nil)
	require.ErrorIs(t, p.room.Replay(listen(t, nil).s, 1, time.Time{}), errors.ErrUnsupported)
}

// refusedWithin is a JoinTimeout in which a busy server says why it refuses.
const refusedWithin = 5 * time.Second

func TestWithoutCredentialsTheErrorSaysSo(t *testing.T) {
	t.Parallel() // it waits most of the time
	s, err := embedded.Start(t.Context(), &embedded.Options{Addr: "127.0.0.1:0", Token: "secret"})
	require.NoError(t, err)
	defer s.Close()
	hub := chanio.NewHub(t.Context(), nil)
	defer hub.Close()
	nc, err := nats.Connect(s.URL(), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort())
	require.NoError(t, err)
	defer nc.Close()
	_, err = natsroom.Join(t.Context(), nc, "x", hub, &natsroom.Options{JoinTimeout: refusedWithin})
	require.ErrorIs(t, err, nats.ErrAuthorization)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)

	nc.Close()

	good, err := s.Connect()
	require.NoError(t, err)
	defer good.Close()
	join(t, good, "x", nil, nil)
}

func TestWithoutAPermissionTheErrorNamesIt(t *testing.T) {
	for _, test := range []struct{ denied, named string }{
		{"chanio.nodes", "chanio.nodes"},
		{"$JS.API.>", "$JS.API.STREAM.CREATE.CHANIO_ROOMS"},
		{"_INBOX.>", "_INBOX."},
	} {
		t.Run(test.denied, func(t *testing.T) {
			t.Parallel() // it waits most of the time
			denied := &server.SubjectPermission{Deny: []string{test.denied}}
			s, err := server.NewServer(&server.Options{
				Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(),
				Users: []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{Publish: denied, Subscribe: denied}}},
			})
			require.NoError(t, err)
			s.Start()
			defer s.WaitForShutdown()
			defer s.Shutdown()
			require.True(t, s.ReadyForConnections(patience))
			nc := connect(t, s.ClientURL(), nats.UserInfo("u", "p"))
			defer nc.Close()
			hub := chanio.NewHub(t.Context(), nil)
			defer hub.Close()
			_, err = natsroom.Join(t.Context(), nc, "x", hub, &natsroom.Options{History: &natsroom.History{}, JoinTimeout: refusedWithin})
			require.ErrorIs(t, err, nats.ErrPermissionViolation)
			require.ErrorContains(t, err, test.named)
		})
	}
}

func TestJoinReturnsUnderItsContextWhenThereNeverWasAServer(t *testing.T) {
	nc, err := nats.Connect("nats://"+freeAddr(t), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1))
	require.NoError(t, err)
	defer nc.Close()
	hub := chanio.NewHub(t.Context(), nil)
	defer hub.Close()
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	_, err = natsroom.Join(ctx, nc, "x", hub, nil)
	require.ErrorIs(t, err, cause)
	_, err = natsroom.Join(t.Context(), nc, "x", hub, &natsroom.Options{JoinTimeout: 50 * time.Millisecond})
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.ErrorContains(t, err, "JoinTimeout")
	nc.Close()
	_, err = natsroom.Join(t.Context(), nc, "x", hub, nil)
	require.ErrorIs(t, err, nats.ErrConnectionClosed)
}

func TestAMessageOverTheServersLimitIsAnError(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			s := testServer(t)
			nc := connect(t, s.URL())
			p := join(t, nc, "x", k.o, &chanio.Options{MaxLag: 64 << 20})
			ear := p.members(t, 1)[0]
			large := append(make([]byte, nc.MaxPayload()), '\n')
			err := p.room.Publish(large)
			require.ErrorIs(t, err, chanio.ErrMessageTooLarge)
			require.ErrorContains(t, err, fmt.Sprint(len(large)))
			batch := chanio.NewBatch()
			batch.Append([]byte("never\n"))
			batch.Append(large)
			require.ErrorIs(t, p.room.PublishBatch(batch), chanio.ErrMessageTooLarge)

			batch = chanio.NewBatch()
			var want []string
			for i := range 300 { // 3 MB: it takes several
				line := strings.Repeat(fmt.Sprint(i%10), 9999)
				want = append(want, line)
				batch.Append([]byte(line + "\n"))
			}
			require.NoError(t, p.room.PublishBatch(batch))
			ear.hears(t, want...)
			require.Zero(t, p.room.Stats().MessagesDropped)
		})
	}
}

func TestTheEndOfTheContextEndsTheRoom(t *testing.T) {
	s := testServer(t)
	nc := connect(t, s.URL())
	hub := chanio.NewHub(t.Context(), nil)
	defer hub.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	room, err := natsroom.Join(ctx, nc, "x", hub, nil)
	require.NoError(t, err)
	events := room.Events()
	cause := errors.New("enough")
	cancel(cause)
	awaitDone(t, room)
	require.ErrorIs(t, room.Err(), cause)
	require.ErrorIs(t, room.Publish([]byte("x")), chanio.ErrClosed)
	require.ErrorIs(t, room.PublishBatch(chanio.NewBatch()), chanio.ErrClosed)
	require.Error(t, room.PublishBatch(nil))
	require.ErrorIs(t, room.Flush(t.Context()), chanio.ErrClosed)
	var seen []chanio.EventKind
	for e := range events {
		seen = append(seen, e.Kind)
	}
	require.Equal(t, []chanio.EventKind{chanio.EventStarted, chanio.EventStopped}, seen)
	require.NoError(t, room.Close())
	require.NoError(t, hub.Err())
	require.False(t, nc.IsClosed())
}
