package chanio_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// queueOf returns the event queue that o asks for.
func queueOf(t *testing.T, o *chanio.Options) *chanio.EventQueue {
	t.Helper()
	q, err := chanio.NewEventQueue(o)
	require.NoError(t, err)
	return q
}

// drainCounts returns the counts of the events in c until it is closed.
func drainCounts(c <-chan chanio.Event) (counts []int) {
	for e := range c {
		if e.Kind != chanio.EventStopped {
			counts = append(counts, e.Count)
		}
	}
	return counts
}

func TestTheOldestUnreadEventsAreDropped(t *testing.T) {
	for _, test := range []struct {
		name           string
		limit          int
		before, after  int // emitted before and after the channel was asked for
		want           []int
		wantDropped    int64
		wantStopped    bool
		wantStoppedErr error
	}{
		{"none", 3, 0, 0, nil, 0, true, nil},
		{"room for all", 10, 3, 3, []int{0, 1, 2, 3, 4, 5}, 0, true, nil},
		{"too many before", 3, 5, 0, []int{3, 4}, 3, true, errTest},
		{"too many after", 3, 0, 5, []int{3, 4}, 3, true, nil},
		{"too many of both", 3, 4, 4, []int{6, 7}, 6, true, nil},
		{"a queue of 1", 1, 2, 2, nil, 4, true, nil},
		{"no queue", -1, 2, 2, nil, 5, false, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := queueOf(t, &chanio.Options{EventQueue: test.limit})
			for i := range test.before {
				q.Emit(chanio.Event{Count: i})
			}
			c := q.Channel()
			for i := range test.after {
				q.Emit(chanio.Event{Count: test.before + i})
			}
			q.Close(test.wantStoppedErr)
			var counts []int
			stopped := false
			for e := range c {
				require.False(t, stopped, "EventStopped is the last")
				require.False(t, e.Time.IsZero())
				if stopped = e.Kind == chanio.EventStopped; stopped {
					require.Equal(t, test.wantStoppedErr, e.Err)
				} else {
					counts = append(counts, e.Count)
				}
			}
			require.Equal(t, test.want, counts)
			require.Equal(t, test.wantStopped, stopped)
			require.Equal(t, test.wantDropped, q.Lost())
			q.Emit(chanio.Event{}) // after the end: nothing
			require.Equal(t, test.wantDropped, q.Lost())
		})
	}
}

func TestEventsCanBeAskedForAfterTheEnd(t *testing.T) {
	q := queueOf(t, &chanio.Options{EventQueue: 4})
	q.Emit(chanio.Event{Count: 7})
	q.Close(nil)
	require.Equal(t, []int{7}, drainCounts(q.Channel()))
	require.Empty(t, drainCounts(q.Channel()), "it is the same channel")
}

func TestEventsWithoutAQueueReachAWaitingReceiver(t *testing.T) {
	q := queueOf(t, &chanio.Options{EventQueue: -1})
	c := q.Channel()
	got := make(chan []int)
	go func() { got <- drainCounts(c) }()
	emitted := 0
	for {
		q.Emit(chanio.Event{Count: emitted}) // until the receiver waits
		emitted++
		if q.Lost() < int64(emitted) {
			break
		}
	}
	q.Close(nil)
	counts, _ := await(t, got, "the events")
	require.Equal(t, []int{emitted - 1}, counts)
}

func TestEventsOfManyGoroutinesAreBoundedAndCounted(t *testing.T) {
	const senders, each = 8, 500
	for _, limit := range []int{-1, 1, 64} {
		t.Run(fmt.Sprintf("a queue of %d", limit), func(t *testing.T) {
			q := queueOf(t, &chanio.Options{EventQueue: limit})
			c := q.Channel()
			received := make(chan int64, 1)
			go func() {
				n := int64(0)
				for range c {
					n++
				}
				received <- n
			}()
			var wg sync.WaitGroup
			for range senders {
				wg.Go(func() {
					for range each {
						q.Emit(chanio.Event{})
					}
				})
			}
			wg.Wait()
			q.Close(nil)
			n, _ := await(t, received, "the events")
			require.EqualValues(t, senders*each+1, n+q.Lost(), "each is received or counted")
		})
	}
}

func TestEventsThatAreNotAskedForTakeNoMemory(t *testing.T) {
	q := queueOf(t, &chanio.Options{EventQueue: 1 << 20})
	q.Emit(chanio.Event{})
	require.LessOrEqual(t, q.Early(), 8)
	require.Zero(t, q.Buffered(), "the channel is made when it is asked for")
}

func TestEventKindsHaveNames(t *testing.T) {
	for k, want := range map[chanio.EventKind]string{
		chanio.EventStarted: "started", chanio.EventConnected: "connected", chanio.EventHandshaked: "handshaked",
		chanio.EventDisconnected: "disconnected", chanio.EventLagged: "lagged", chanio.EventJoined: "joined",
		chanio.EventLeft: "left", chanio.EventFailed: "failed", chanio.EventStopped: "stopped",
		0: "EventKind(0)", -1: "EventKind(-1)", chanio.EventStopped + 1: fmt.Sprintf("EventKind(%d)", chanio.EventStopped+1),
	} {
		require.Equal(t, want, k.String())
	}
}

func TestLoggerGetsEveryEventAsARecord(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	q := queueOf(t, &chanio.Options{EventQueue: -1, Logger: log}) // even those that are lost
	s := chanio.NewSession(t.Context(), nil, nil)
	q.Emit(chanio.Event{Kind: chanio.EventStarted})
	q.Emit(chanio.Event{Kind: chanio.EventConnected, Session: s})
	q.Emit(chanio.Event{Kind: chanio.EventFailed, Err: errTest})
	q.Emit(chanio.Event{Kind: chanio.EventLagged, Session: s, Count: 5})
	q.Close(nil)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 5)
	require.Contains(t, lines[0], `level=DEBUG msg="chanio: started"`)
	require.Contains(t, lines[1], "session="+s.ID().String())
	require.Contains(t, lines[2], "level=WARN")
	require.Contains(t, lines[2], errTest.Error())
	require.Contains(t, lines[3], "level=WARN")
	require.Contains(t, lines[3], "count=5")
	require.Contains(t, lines[4], "chanio: stopped")
}

func TestLoggerBelowItsLevelIsSilent(t *testing.T) {
	var out bytes.Buffer
	q := queueOf(t, &chanio.Options{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	q.Emit(chanio.Event{Kind: chanio.EventConnected})
	require.Empty(t, out.String())
}

func TestErrorsAnswerErrorsIs(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}
	for _, test := range []struct {
		name string
		err  error
		is   []error
		text string
	}{
		{"closed", chanio.WrapOp("write", "tcp", nil, at, chanio.ErrClosed), []error{chanio.ErrClosed, net.ErrClosed}, "chanio: write tcp 192.0.2.1:80: closed"},
		{"lagged", fmt.Errorf("x: %w", chanio.ErrLagged), []error{chanio.ErrLagged}, "x: chanio: too far behind its hub"},
		{"timeout", chanio.WrapOp("close", "tcp", nil, at, chanio.NewTimeout("CloseTimeout", 5e9)), []error{os.ErrDeadlineExceeded}, "chanio: close tcp 192.0.2.1:80: CloseTimeout of 5s exceeded"},
		{"of the system", chanio.WrapOp("read", "tcp", nil, at, os.NewSyscallError("read", os.ErrPermission)), []error{os.ErrPermission}, "chanio: read tcp 192.0.2.1:80: read: permission denied"},
		{"of a call inside net", chanio.WrapOp("read", "tcp", nil, at, &net.OpError{Op: "raw-read", Net: "tcp", Addr: at, Err: os.ErrPermission}), []error{os.ErrPermission}, "chanio: read tcp 192.0.2.1:80: permission denied"},
		{"of another operation", chanio.WrapOp("listen", "tcp", nil, at, &net.OpError{Op: "set", Net: "tcp", Addr: at, Err: os.ErrPermission}), []error{os.ErrPermission}, "chanio: set tcp 192.0.2.1:80: permission denied"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, is := range test.is {
				require.ErrorIs(t, test.err, is)
			}
			require.Equal(t, test.text, test.err.Error())
		})
	}
	require.NotErrorIs(t, net.ErrClosed, chanio.ErrClosed)
	require.NoError(t, chanio.WrapOp("read", "tcp", nil, nil, nil))
	wrapped := chanio.WrapOp("read", "tcp", nil, at, errTest)
	require.Same(t, wrapped, chanio.WrapOp("write", "udp", nil, nil, wrapped), "once is enough")
	var op *net.OpError
	require.True(t, errors.As(wrapped, &op))
	require.Equal(t, at, op.Addr)
}
