package chanio

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// listenTCP returns a listener on a free port of the loopback interface, which
// ends with the test.
func listenTCP(t testing.TB, o *Options) *Listener {
	t.Helper()
	l, err := Listen(context.Background(), "tcp", "127.0.0.1:0", o)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// joinTCP returns a plain client of l and its session, which is in the hub.
func joinTCP(t testing.TB, l *Listener) (net.Conn, *Session) {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn, <-l.Sessions()
}

func TestEveryMemberGetsEveryMessageOfManyPublishersInOneOrder(t *testing.T) {
	const members, publishers = 50, 4
	each := 100_000
	if testing.Short() {
		each = 5_000
	}
	l := listenTCP(t, &Options{Lag: LagBlock, MaxLag: 1 << 20})
	sums := make([][32]byte, members)
	counts := make([][publishers]int, members)
	var readers sync.WaitGroup
	for i := range members {
		conn, _ := joinTCP(t, l)
		readers.Go(func() {
			sum := sha256.New()
			buf := make([]byte, 12*4096)
			for {
				n, err := io.ReadAtLeast(conn, buf, 12)
				for n%12 != 0 && err == nil {
					var more int
					more, err = io.ReadAtLeast(conn, buf[n:], 12-n%12)
					n += more
				}
				sum.Write(buf[:n])
				for m := buf[:n]; len(m) >= 12; m = m[12:] {
					p, seq := binary.BigEndian.Uint32(m), int(binary.BigEndian.Uint64(m[4:]))
					if seq != counts[i][p] {
						t.Errorf("member %d: message %d of publisher %d came as %d", i, seq, p, counts[i][p])
						return
					}
					counts[i][p]++
				}
				if err != nil {
					break
				}
			}
			sum.Sum(sums[i][:0])
		})
	}
	var pubs sync.WaitGroup
	for p := range publishers {
		pubs.Go(func() {
			m := make([]byte, 12)
			binary.BigEndian.PutUint32(m, uint32(p))
			for seq := range each {
				binary.BigEndian.PutUint64(m[4:], uint64(seq))
				if err := l.Multicast(m); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	pubs.Wait()
	require.NoError(t, l.Hub().Flush(t.Context()))
	var closers sync.WaitGroup
	for s := range l.All() {
		closers.Go(func() { require.NoError(t, s.CloseWrite()) })
	}
	closers.Wait()
	readers.Wait()
	for i := range members {
		require.Equal(t, sums[0], sums[i], "member %d", i)
		for p := range publishers {
			require.Equal(t, each, counts[i][p])
		}
	}
}

// CppServer's own scenario.
func TestAMemberGetsExactlyWhatIsMulticastWhileItIsConnected(t *testing.T) {
	l := listenTCP(t, nil)
	var conns [3]net.Conn
	var sessions [3]*Session
	publish := func() {
		require.NoError(t, l.Multicast([]byte("test")))
		require.NoError(t, l.Hub().Flush(t.Context()))
	}
	for i := range conns { // each gets what follows its join
		conns[i], sessions[i] = joinTCP(t, l)
		publish()
	}
	for i := range conns[:2] { // and nothing that follows its end
		require.NoError(t, conns[i].(*net.TCPConn).CloseWrite())
		_, open := <-sessions[i].Recv()
		require.False(t, open)
		require.NoError(t, sessions[i].Close())
		publish()
	}
	require.NoError(t, sessions[2].Close())
	for _, conn := range conns {
		got, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Equal(t, "testtesttest", string(got))
	}
	require.EqualValues(t, 36, l.Stats().BytesSent)
	require.EqualValues(t, 36, l.Hub().Stats().BytesSent)
	require.EqualValues(t, 9, l.Hub().Stats().MessagesSent)
}

func TestJoinRefusesWhoCannotBeAMember(t *testing.T) {
	ended := func(o *Options) *Session {
		s := pipeSessions(t, 1, o)[0]
		s.Abort(nil)
		return s
	}
	closedHub := NewHub(t.Context(), nil)
	require.NoError(t, closedHub.Close())
	halfClosed, _ := memSession(t, nil)
	require.NoError(t, halfClosed.CloseWrite())
	running, _ := memSession(t, nil)
	closedLines := NewHub(t.Context(), &Options{Framing: Lines{}})
	require.NoError(t, closedLines.Close())
	for _, test := range []struct {
		name string
		hub  *Hub
		s    *Session
		want error // nil if text says it
		text string
	}{
		{"nil", testHub(t, nil), nil, nil, "nil session"},
		{"a session that has ended", testHub(t, nil), ended(nil), ErrClosed, "closed"},
		{"a session that was closed for writing", testHub(t, nil), halfClosed, ErrClosed, "closed"},
		{"a session, to a hub that was closed", closedHub, running, ErrClosed, "closed"},
		{"a session with another framing that has ended", testHub(t, &Options{Framing: Lines{}}), ended(nil), ErrClosed, "closed"},
		{"a session with another framing, to a hub that was closed", closedLines, running, ErrClosed, "closed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.hub.Join(test.s)
			require.ErrorContains(t, err, "chanio: ")
			require.ErrorContains(t, err, test.text)
			if test.want != nil {
				require.ErrorIs(t, err, test.want)
			}
			require.Zero(t, test.hub.Len())
			require.Zero(t, test.hub.Stats().Accepted)
		})
	}
}

func TestToJoinTwiceIsOnceAndLeaveIsIdempotent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, nil)
		s, peer := memSession(t, nil)
		h.Leave(s)
		h.Leave(nil)
		for range 3 {
			require.NoError(t, h.Join(s))
		}
		require.Equal(t, 1, h.Len())
		require.Equal(t, []*Session{s}, slices.Collect(h.All()))
		all := readInto(peer)
		require.NoError(t, h.Multicast([]byte("once")))
		for range 3 {
			h.Leave(s)
		}
		require.Zero(t, h.Len())
		require.NoError(t, h.Multicast([]byte("never")))
		require.NoError(t, s.CloseWrite())
		require.Equal(t, "once", string(<-all))
		require.EqualValues(t, 1, h.Stats().Accepted)
		require.NoError(t, h.Close())
		require.Equal(t, []EventKind{EventStarted, EventJoined, EventLeft, EventStopped}, kinds(h.Events()))
	})
}

func TestMulticastAnswersForWhatItCannotPublish(t *testing.T) {
	closed := func(o *Options) *Hub {
		h := NewHub(t.Context(), o)
		require.NoError(t, h.Close())
		return h
	}
	foul := errors.New("foul")
	prefix := LengthPrefix{Size: 1}
	for _, test := range []struct {
		name string
		hub  *Hub
		n    int
		want error
	}{
		{"to nobody", testHub(t, nil), 10, nil},
		{"nothing to nobody", testHub(t, nil), 0, nil},
		{"exactly MaxLag", testHub(t, &Options{MaxLag: 10}), 10, nil},
		{"more than MaxLag", testHub(t, &Options{MaxLag: 10}), 11, ErrMessageTooLarge},
		{"exactly MaxLag with its framing", testHub(t, &Options{MaxLag: 10, Framing: prefix}), 9, nil},
		{"more than MaxLag with its framing", testHub(t, &Options{MaxLag: 10, Framing: prefix}), 10, ErrMessageTooLarge},
		{"more than the framing can say", testHub(t, &Options{Framing: prefix}), 256, ErrMessageTooLarge},
		{"what the framing refuses", testHub(t, &Options{Framing: wild{err: foul}}), 10, foul},
		{"after Close", closed(nil), 10, ErrClosed},
		{"nothing after Close", closed(nil), 0, ErrClosed},
		{"more than MaxLag after Close", closed(&Options{MaxLag: 10}), 11, ErrClosed},
		{"what the framing refuses, after Close", closed(&Options{Framing: wild{err: foul}}), 10, ErrClosed},
		{"to a hub of bad options", NewHub(t.Context(), &Options{MaxLag: -1}), 10, ErrClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.hub.Multicast(make([]byte, test.n))
			if test.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, test.want)
			require.ErrorContains(t, err, "chanio: ")
		})
	}
}

func TestAHubOutlivesAFramingThatPanics(t *testing.T) {
	h := testHub(t, &Options{Framing: panicky{}})
	s := pipeSessions(t, 1, &Options{Framing: panicky{}})[0]
	require.NoError(t, h.Join(s))
	for range 3 {
		require.PanicsWithValue(t, "no", func() { h.Multicast([]byte("x")) })
	}
	require.Equal(t, 1, h.Len())
	h.Leave(s)
}

// panicky is a Framing that breaks its contract.
type panicky struct{ Lines }

func (panicky) AppendFrame([]byte, []byte) ([]byte, error) { panic("no") }

func TestMulticastCopiesAndFramesOnce(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		o.Framing = LengthPrefix{Size: 2}
		h := testHub(t, &o)
		_, first := joinMem(t, h, &o)
		_, second := joinMem(t, h, &o)
		for _, m := range []string{"one", "", "three"} {
			p := []byte(m)
			require.NoError(t, h.Multicast(p))
			copy(p, "XXXXX")
		}
		const want = "\x00\x03one\x00\x00\x00\x05three"
		for _, peer := range []net.Conn{first, second} {
			got := make([]byte, len(want))
			_, err := io.ReadFull(peer, got)
			require.NoError(t, err)
			require.Equal(t, want, string(got))
		}
		require.EqualValues(t, len(want), h.Stats().BytesReceived)
		require.EqualValues(t, 3, h.Stats().MessagesReceived)
	})
}

func TestEmptyMessagesAreNothingOnRawStreamsAndHoldUpNobody(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		h := testHub(t, &o)
		s, peer := joinMem(t, h, &o)
		all := readInto(peer)
		for _, m := range []string{"", "a", "", "", "b", ""} {
			require.NoError(t, h.Multicast([]byte(m)))
		}
		require.NoError(t, h.Multicast(nil))
		require.NoError(t, h.Flush(t.Context()))
		require.NoError(t, s.Flush(t.Context()))
		require.NoError(t, s.CloseWrite())
		require.Equal(t, "ab", string(<-all))
		require.EqualValues(t, 7, h.Stats().MessagesSent)
	})
}

func TestSendMulticastsInOrder(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		o.Framing = Lines{}
		h := testHub(t, &o)
		events := h.Events()
		s, peer := joinMem(t, h, &o)
		all := readInto(peer)
		require.Equal(t, h.Send(), h.Send())
		for _, m := range []string{"a", "b", "not\na line", "c"} {
			select {
			case h.Send() <- []byte(m):
			case <-h.Done():
				t.Error("the hub has ended")
			}
		}
		synctest.Wait()
		require.NoError(t, s.CloseWrite())
		require.Equal(t, "a\nb\nc\n", string(<-all))
		if o.EventQueue == 0 {
			synctest.Wait()
			require.Equal(t, []EventKind{EventStarted, EventJoined, EventFailed, EventLeft}, kinds(events))
		}
	})
}

func TestSendAfterTheEndIsReceivedByNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(t.Context(), &Options{SendQueue: -1})
		require.NoError(t, h.Close())
		select {
		case h.Send() <- []byte("x"):
			t.Error("received")
		case <-h.Done():
		}
		synctest.Wait()
	})
}

func TestAHubWhoseSendAUserClosedStillMulticasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, nil)
		s, peer := joinMem(t, h, nil)
		close(h.Send())
		synctest.Wait()
		require.NoError(t, h.Multicast([]byte("x")))
		require.EqualValues(t, 1, h.Stats().MessagesReceived)
		all := readInto(peer)
		require.NoError(t, s.CloseWrite())
		require.Equal(t, "x", string(<-all))
	})
}

func TestCloseEndsAHubWhoseSendIsHeldByLagBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(t.Context(), &Options{Lag: LagBlock, MaxLag: 1000, SendQueue: 10})
		joinMem(t, h, &Options{WriteTimeout: -1})
		for range 10 {
			h.Send() <- make([]byte, 400)
		}
		synctest.Wait()
		require.NoError(t, h.Close())
	})
}

func TestFlushWaitsUntilEveryMemberHasWrittenWhatWasPublishedBefore(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		h := testHub(t, &o)
		require.NoError(t, h.Flush(t.Context()), "an empty hub")
		_, a := joinMem(t, h, &o)
		_, b := joinMem(t, h, &o)
		gone, _ := joinMem(t, h, &o)
		left, c := joinMem(t, h, &o)
		require.NoError(t, h.Flush(t.Context()), "nothing was published")
		require.NoError(t, h.Multicast([]byte("before")))
		synctest.Wait()
		require.NoError(t, h.Multicast([]byte(" too")))
		h.Leave(left)

		const flushes = 3
		flushed := make(chan error, flushes)
		for range flushes {
			go func() { flushed <- h.Flush(t.Context()) }()
		}
		synctest.Wait()
		require.NoError(t, h.Multicast([]byte(" and after")))
		joinMem(t, h, &o) // nobody waits for who comes now
		for _, step := range []func(){
			func() { read(t, a, "before too") },
			func() { read(t, b, "before too") },
			func() { read(t, c, "before too") },
			func() { gone.Abort(nil) },
		} {
			synctest.Wait()
			require.Empty(t, flushed)
			step()
		}
		for range flushes {
			require.NoError(t, <-flushed)
		}
		requireNoMarks(t, h)
	})
}

// requireNoMarks requires that nothing of a Flush is left.
func requireNoMarks(t *testing.T, h *Hub) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for f := range h.feeds {
		for _, m := range f.places {
			w := m.waits.Load()
			require.True(t, w == nil || w.marks == nil)
		}
	}
}

// read reads want from conn.
func read(t *testing.T, conn io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	_, err := io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

func TestAHubsFlushReturnsTheErrorOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, nil)
		joinMem(t, h, nil)
		require.NoError(t, h.Multicast([]byte("x")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, h.Flush(ctx), context.DeadlineExceeded)
		requireNoMarks(t, h)
	})
}

func TestCloseOfAHubLeavesSessionsOpenAndWhatWasPublishedArrives(t *testing.T) {
	for _, end := range hubEnds {
		t.Run(end.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				h := NewHub(ctx, nil)
				events := h.Events()
				s, peer := joinMem(t, h, nil)
				require.False(t, isClosed(h.Done()))
				require.NoError(t, h.Err())
				require.NoError(t, h.Multicast([]byte("published ")))
				synctest.Wait()
				require.NoError(t, h.Multicast([]byte("before ")))
				all := make(chan []byte)
				go func() {
					time.Sleep(time.Second)
					got, _ := io.ReadAll(peer)
					all <- got
				}()
				err := end.end(t, h, cancel)
				<-h.Done()
				require.ErrorIs(t, h.Err(), err)
				if err == nil {
					require.NoError(t, h.Err())
				}
				synctest.Wait()
				require.Equal(t, []EventKind{EventStarted, EventJoined, EventLeft, EventStopped}, kinds(events))
				require.True(t, isClosed(events))

				require.ErrorIs(t, h.Multicast([]byte("x")), ErrClosed)
				require.ErrorIs(t, h.Join(s), ErrClosed)
				require.ErrorIs(t, h.Flush(t.Context()), ErrClosed)
				h.Leave(s)
				require.Zero(t, h.Len())
				require.NoError(t, h.Shutdown(t.Context()), "it waits for who has left, too")
				require.Zero(t, h.Stats().BytesPending)
				require.NoError(t, h.Close())
				require.ErrorIs(t, h.Err(), err)

				require.NoError(t, s.Put([]byte("and sent after")))
				require.NoError(t, s.CloseWrite())
				require.Equal(t, "published before and sent after", string(<-all))
				cancel(nil)
			})
		})
	}
}

// hubEnds are the ways in which a hub can end, each of which returns what its
// Err is then.
var hubEnds = []struct {
	name string
	end  func(t *testing.T, h *Hub, cancel context.CancelCauseFunc) error
}{
	{"Close", func(t *testing.T, h *Hub, _ context.CancelCauseFunc) error {
		require.NoError(t, h.Close())
		return nil
	}},
	{"Close, twice at once", func(t *testing.T, h *Hub, _ context.CancelCauseFunc) error {
		go h.Close()
		require.NoError(t, h.Close())
		return nil
	}},
	{"Close of one whose Send was used", func(t *testing.T, h *Hub, _ context.CancelCauseFunc) error {
		h.Send()
		require.NoError(t, h.Close())
		return nil
	}},
	{"Shutdown", func(t *testing.T, h *Hub, _ context.CancelCauseFunc) error {
		require.NoError(t, h.Shutdown(t.Context()))
		return nil
	}},
	{"the end of its context", func(_ *testing.T, _ *Hub, cancel context.CancelCauseFunc) error {
		cause := errors.New("cause")
		cancel(cause)
		return cause
	}},
}

func TestAHubUnderAContextThatHasEndedEndsWithItsCause(t *testing.T) {
	cause := errors.New("cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	for range 100 {
		h := NewHub(ctx, nil)
		awaitDone(t, h)
		require.Equal(t, cause, h.Err())
	}
}

func TestAHubOfBadOptionsHasEndedWithThatErr(t *testing.T) {
	h := NewHub(t.Context(), &Options{Lag: 17})
	require.True(t, isClosed(h.Done()))
	require.ErrorContains(t, h.Err(), "Lag")
	require.ErrorIs(t, h.Join(pipeSessions(t, 1, nil)[0]), ErrClosed)
	require.ErrorIs(t, h.Flush(t.Context()), ErrClosed)
	require.NoError(t, h.Close())
	require.True(t, isClosed(h.Events()))
}

func TestTheEndOfAnIdleHubLeavesNothingWithItsContext(t *testing.T) {
	ctx := &watchedContext{Context: t.Context()}
	h := NewHub(ctx, nil)
	require.Equal(t, 1, ctx.watching())
	require.NoError(t, h.Close())
	require.Zero(t, ctx.watching())
}

func TestASessionInManyHubsGetsEachOfThemInOrder(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		const rooms, messages = 5, 100
		var hubs [rooms]*Hub
		s, peer := memSession(t, &o)
		for i := range hubs {
			hubs[i] = testHub(t, &o)
			require.NoError(t, hubs[i].Join(s))
		}
		all := readInto(peer)
		var publishers sync.WaitGroup
		for i, h := range hubs {
			publishers.Go(func() {
				for seq := range messages {
					if err := h.Multicast([]byte{byte(i), byte(seq)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		publishers.Wait()
		require.NoError(t, s.CloseWrite())
		got := <-all
		require.Len(t, got, 2*rooms*messages)
		var next [rooms]byte
		for ; len(got) > 0; got = got[2:] {
			require.Equal(t, next[got[0]], got[1], "room %d", got[0])
			next[got[0]]++
		}
		for _, h := range hubs {
			require.Zero(t, h.Len(), "it leaves all of them when it ends")
		}
	})
}

func TestNoHubOfASessionWaitsForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy, quiet := testHub(t, nil), testHub(t, nil)
		s, peer := joinMem(t, busy, nil)
		require.NoError(t, quiet.Join(s))
		for range 100 {
			require.NoError(t, busy.Multicast(make([]byte, blockSize)))
		}
		synctest.Wait()
		require.NoError(t, quiet.Multicast([]byte("!")))
		got := make([]byte, 4*blockSize)
		_, err := io.ReadFull(peer, got)
		require.NoError(t, err)
		require.Contains(t, string(got), "!")
	})
}

func TestASessionsOwnMessagesDoNotKeepItsHubsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, nil)
		s, peer := joinMem(t, h, nil)
		go func() {
			for s.Put(make([]byte, blockSize)) == nil {
			}
		}()
		synctest.Wait()
		require.NoError(t, h.Multicast([]byte("!")))
		got := make([]byte, 4*blockSize)
		_, err := io.ReadFull(peer, got)
		require.NoError(t, err)
		require.Contains(t, string(got), "!")
		s.Abort(nil)
	})
}

func TestAHubDoesNotKeepASessionsOwnMessagesWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, nil)
		s, peer := joinMem(t, h, &Options{SendQueue: 1})
		for range 100 {
			require.NoError(t, h.Multicast(make([]byte, blockSize)))
		}
		synctest.Wait()
		require.NoError(t, s.Put([]byte("!")))
		got := make([]byte, 4*blockSize)
		_, err := io.ReadFull(peer, got)
		require.NoError(t, err)
		require.Contains(t, string(got), "!")
	})
}

func TestWhoLeavesAndComesBackGetsBothPartsInOrder(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		h := testHub(t, &o)
		s, peer := joinMem(t, h, &o)
		var want []byte
		publish := func(member bool) {
			m := fmt.Appendf(nil, "%d,", h.Stats().MessagesReceived)
			require.NoError(t, h.Multicast(m))
			if member {
				want = append(want, m...)
			}
		}
		_, other := joinMem(t, h, &o) // so that what it misses is in the log
		go io.Copy(io.Discard, other)
		for i := range 20 { // its peer does not read yet
			publish(true)
			if i%3 == 0 {
				synctest.Wait()
			}
			publish(true)
			h.Leave(s)
			if i%2 == 0 {
				publish(false)
			}
			require.NoError(t, h.Join(s))
			require.Equal(t, 2, h.Len())
		}
		publish(true)
		all := readInto(peer)
		require.NoError(t, h.Flush(t.Context()))
		require.NoError(t, s.Flush(t.Context()))
		require.NoError(t, s.CloseWrite())
		require.Equal(t, string(want), string(<-all))
		require.Zero(t, h.Stats().BytesPending)
	})
}

// sessionEnds are the ends of a session that let out what was published before.
var sessionEnds = []struct {
	name string
	end  func(s *Session) error
}{
	{"CloseWrite", (*Session).CloseWrite},
	{"Close", func(s *Session) error { go s.Close(); return nil }},
	{"closing Send", func(s *Session) error { close(s.Send()); return nil }},
}

func TestASessionThatIsClosedFlushesWhatItsHubsPublishedBefore(t *testing.T) {
	for _, end := range sessionEnds {
		t.Run(end.name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o Options) {
				h, room := testHub(t, &o), testHub(t, &o)
				s, peer := joinMem(t, h, &o)
				require.NoError(t, room.Join(s))
				for i := range 100 {
					require.NoError(t, h.Multicast(message(i, 1000)))
					require.NoError(t, room.Multicast(message(i, 1000)))
				}
				require.NoError(t, end.end(s))
				synctest.Wait()
				all := readInto(peer)
				synctest.Wait()
				require.NoError(t, h.Multicast([]byte("never")))
				require.Zero(t, h.Len())
				peer.CloseWrite()
				require.Len(t, <-all, 200*1000)
				<-s.Done()
				require.NoError(t, s.Err())
				require.Zero(t, s.Stats().Undelivered)
			})
		})
	}
}

func TestShutdownOfAListenerFlushesWhatWasMulticastBefore(t *testing.T) {
	l := listenTCP(t, nil)
	var conns []net.Conn
	for range 5 {
		conn, s := joinTCP(t, l)
		conns = append(conns, conn)
		go func() {
			defer s.Close()
			for range s.Recv() {
			}
		}()
	}
	const messages, size = 100, 4096
	for i := range messages {
		require.NoError(t, l.Multicast(message(i, size)))
	}
	down := make(chan error)
	go func() { down <- l.Shutdown(t.Context()) }()
	for _, conn := range conns {
		got, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Len(t, got, messages*size)
		require.NoError(t, conn.Close())
	}
	require.NoError(t, <-down)
	require.True(t, isClosed(l.Hub().Done()))
	require.NoError(t, l.Hub().Err())
}

// TestSentAndMulticastMessagesNeverSplitEachOther sends messages of all sizes
// both ways and takes the stream apart.
func TestSentAndMulticastMessagesNeverSplitEachOther(t *testing.T) {
	const messages = 2000
	l := listenTCP(t, &Options{Lag: LagBlock, MaxLag: 1 << 18})
	conn, s := joinTCP(t, l)
	var senders sync.WaitGroup
	for id, send := range []func([]byte) error{l.Multicast, s.Put, l.Multicast} {
		senders.Go(func() {
			for seq := range messages {
				if err := send(tagged(id, seq, 7*seq%9000)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	go func() {
		senders.Wait()
		s.CloseWrite()
	}()
	next := make([]int, 3)
	for m := range taggedMessages(t, conn) {
		require.Equal(t, next[m.id], m.seq, "of sender %d", m.id)
		next[m.id]++
	}
	require.Equal(t, []int{messages, messages, messages}, next)
}

// tagged returns message seq of sender id, with n bytes behind its header that
// no other message has.
func tagged(id, seq, n int) []byte {
	m := make([]byte, 12, 12+n)
	binary.BigEndian.PutUint32(m, uint32(id))
	binary.BigEndian.PutUint32(m[4:], uint32(seq))
	binary.BigEndian.PutUint32(m[8:], uint32(n))
	for i := range n {
		m = append(m, byte(id*31+seq*7+i))
	}
	return m
}

// A tag is what tells a tagged message from others.
type tag struct{ id, seq int }

// taggedMessages takes a stream apart into whole tagged messages.
func taggedMessages(t *testing.T, r io.Reader) iter.Seq[tag] {
	return func(yield func(tag) bool) {
		b := bufio.NewReaderSize(r, 1<<16)
		header := make([]byte, 12)
		for {
			if _, err := io.ReadFull(b, header); err != nil {
				if err != io.EOF {
					t.Errorf("the stream ended within a header: %v", err)
				}
				return
			}
			m := tag{int(binary.BigEndian.Uint32(header)), int(binary.BigEndian.Uint32(header[4:]))}
			n := int(binary.BigEndian.Uint32(header[8:]))
			if m.id > 1<<10 || n > 1<<24 {
				t.Errorf("not a message: % x", header)
				return
			}
			rest := make([]byte, n)
			if _, err := io.ReadFull(b, rest); err != nil {
				t.Errorf("message %d of %d is cut: %v", m.seq, m.id, err)
				return
			}
			if !bytes.Equal(tagged(m.id, m.seq, n)[12:], rest) {
				t.Errorf("message %d of %d is damaged", m.seq, m.id)
				return
			}
			if !yield(m) {
				return
			}
		}
	}
}

// TestHubsSessionsAndListenersEndInAnyOrder lets TestMain look for what is left.
func TestHubsSessionsAndListenersEndInAnyOrder(t *testing.T) {
	type world struct {
		l      *Listener
		room   *Hub
		s      *Session
		conn   net.Conn
		cancel context.CancelFunc
	}
	ends := []struct {
		name string
		end  func(w *world)
	}{
		{"room", func(w *world) { w.room.Close() }},
		{"hub", func(w *world) { w.l.Hub().Close() }},
		{"session", func(w *world) { w.s.Close() }},
		{"peer", func(w *world) { w.conn.Close() }},
		{"context", func(w *world) { w.cancel() }},
		{"listener", func(w *world) { w.l.Close() }},
	}
	for first := range ends {
		for second := range ends {
			if first == second {
				continue
			}
			t.Run(ends[first].name+" then "+ends[second].name, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				l, err := Listen(ctx, "tcp", "127.0.0.1:0", &Options{Lag: LagPolicy(first % 3), MaxLag: 1 << 16})
				require.NoError(t, err)
				conn, s := joinTCP(t, l)
				w := &world{l, NewHub(ctx, nil), s, conn, cancel}
				require.NoError(t, w.room.Join(s))
				var publishers sync.WaitGroup
				publishers.Go(func() {
					for i := 0; l.Multicast(message(i, 1000)) == nil && s.Err() == nil && w.room.Multicast([]byte("x")) == nil; i++ {
						if i > 1000 {
							select {
							case <-s.Done():
							case <-l.Done():
							}
						}
					}
				})
				go io.Copy(io.Discard, conn)
				ends[first].end(w)
				ends[second].end(w)
				for _, e := range ends {
					e.end(w)
				}
				publishers.Wait()
				awaitDone(t, s)
				awaitDone(t, l)
				awaitDone(t, l.Hub())
				awaitDone(t, w.room)
				require.Zero(t, w.room.Len())
				require.Zero(t, l.Hub().Len())
			})
		}
	}
}

func TestStatsOfAHubCountWhatWasPublishedSentAndMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, nil)
		require.NoError(t, h.Multicast([]byte("nobody is there")))
		a, peer := joinMem(t, h, nil)
		b, _ := joinMem(t, h, nil)
		go io.Copy(io.Discard, peer)
		for range 3 {
			require.NoError(t, h.Multicast([]byte("12345")))
			synctest.Wait()
		}
		require.Equal(t, Stats{
			Sessions: 2, Accepted: 2,
			BytesReceived: 15, MessagesReceived: 3,
			BytesSent: 15, MessagesSent: 3,
			BytesPending: 15,
		}, h.Stats())
		b.Abort(nil)
		<-b.Done()
		require.NoError(t, a.Close())
		require.Equal(t, Stats{
			Accepted:      2,
			BytesReceived: 15, MessagesReceived: 3,
			BytesSent: 15, MessagesSent: 3,
			Undelivered: 15,
		}, h.Stats())
	})
}
