package chanio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio/internal/test/memory"
)

// joinMem returns a session over memory that is a member of h, and its peer.
func joinMem(t *testing.T, h *Hub, o *Options) (*Session, *memConn) {
	t.Helper()
	s, peer := memSession(t, o)
	require.NoError(t, h.Join(s))
	return s, peer
}

// testHub returns a hub that is gone when the test is over.
func testHub(t testing.TB, o *Options) *Hub {
	h := NewHub(context.Background(), o)
	t.Cleanup(func() { h.Close() })
	return h
}

// readInto reads from conn until its end, in a goroutine. The result is to be
// received once conn has ended.
func readInto(conn io.Reader) <-chan []byte {
	all := make(chan []byte, 1)
	go func() {
		got, _ := io.ReadAll(conn)
		all <- got
	}()
	return all
}

// kinds returns what is in events by now.
func kinds(events <-chan Event) (k []EventKind) {
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return k
			}
			k = append(k, e.Kind)
		default:
			return k
		}
	}
}

// message returns the i-th of messages that are all different, of n bytes.
func message(i, n int) []byte {
	return bytes.Repeat([]byte{byte(i), byte(i >> 8), byte(i >> 16), '.'}, n/4+1)[:n]
}

var lagPolicies = []LagPolicy{LagDisconnect, LagDrop, LagBlock}

func TestAMemberMayBeExactlyMaxLagBehind(t *testing.T) {
	for _, lag := range lagPolicies {
		t.Run(lag.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := testHub(t, &Options{Lag: lag, MaxLag: 1000})
				s, peer := joinMem(t, h, &Options{WriteTimeout: -1})
				var want []byte
				publish := func(n int) {
					m := message(len(want), n)
					require.NoError(t, h.Multicast(m))
					want = append(want, m...)
				}
				publish(10)
				synctest.Wait() // it is in a write, and so not behind
				publish(999)
				publish(1)
				publish(0)
				require.NoError(t, s.Err())
				require.Zero(t, h.Stats().MessagesDropped)
				all := readInto(peer)
				require.NoError(t, s.CloseWrite())
				require.Equal(t, want, <-all)
			})
		})
	}
}

func TestLagDisconnectEndsTheSessionThatIsMoreThanMaxLagBehind(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		o.Lag, o.MaxLag = LagDisconnect, 1000
		h := testHub(t, &o)
		events := h.Events()
		slow, _ := joinMem(t, h, nil)
		_, peer := joinMem(t, h, nil)
		healthy := readInto(peer)
		var want []byte
		for i := range 3 { // the first is in a write
			m := message(i, 501)
			want = append(want, m...)
			require.NoError(t, h.Multicast(m))
			synctest.Wait()
		}
		awaitDone(t, slow)
		require.ErrorIs(t, slow.Err(), ErrLagged)
		require.ErrorContains(t, slow.Err(), "chanio: ")
		require.Equal(t, 1, h.Len())
		for range h.All() {
		}
		require.EqualValues(t, 1002, slow.Stats().Undelivered, "what it had not taken, and what its last write had")
		require.EqualValues(t, 1002, h.Stats().Undelivered)
		require.NoError(t, h.Flush(t.Context()))
		require.NoError(t, h.Close())
		for s := range h.All() {
			t.Errorf("%v is a member of a closed hub", s.ID())
		}
		if o.EventQueue == 0 {
			require.Equal(t, []EventKind{EventStarted, EventJoined, EventJoined, EventLagged, EventLeft, EventLeft, EventStopped}, kinds(events))
		}
		peer.Close()
		require.Equal(t, want, <-healthy)
	})
}

func TestLagDropSkipsToTheNewestMessage(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		o.Lag, o.MaxLag = LagDrop, 1000
		h := testHub(t, &o)
		events := h.Events()
		s, peer := joinMem(t, h, &Options{WriteTimeout: -1})
		sent := func(i int) []byte { return message(i, 400) }
		for i := range 6 {
			require.NoError(t, h.Multicast(sent(i)))
			synctest.Wait()
		}
		// 0 is in a write; 1 and 2 were skipped when 3 came, 3 and 4 when 5 did.
		require.EqualValues(t, 4, s.Stats().MessagesDropped)
		require.EqualValues(t, 4, h.Stats().MessagesDropped)
		all := readInto(peer)
		require.NoError(t, h.Flush(t.Context()))
		require.NoError(t, s.Flush(t.Context()))
		require.NoError(t, s.CloseWrite())
		require.Equal(t, append(sent(0), sent(5)...), <-all)
		require.EqualValues(t, 800, h.Stats().BytesSent)
		require.Zero(t, h.Stats().BytesPending)
		require.Zero(t, h.Stats().Undelivered)
		if o.EventQueue == 0 {
			count := 0
			for range 4 {
				if e := <-events; e.Kind == EventLagged {
					require.NoError(t, e.Err)
					require.Equal(t, s, e.Session)
					count += e.Count
				}
			}
			require.Equal(t, 4, count)
		}
	})
}

// heldPublisher publishes messages of size bytes to a hub whose only member's
// peer does not read, until a goroutine is held by its Multicast. What that
// returns is sent to the channel.
func heldPublisher(t *testing.T, h *Hub, size int) <-chan error {
	t.Helper()
	require.NoError(t, h.Multicast(message(0, size)))
	synctest.Wait() // it is in a write
	for i := range int(h.maxLag) / size {
		require.NoError(t, h.Multicast(message(i, size)))
	}
	held := make(chan error, 1)
	go func() { held <- h.Multicast(message(0, size)) }()
	synctest.Wait()
	require.Empty(t, held)
	return held
}

func TestAPublisherThatLagBlockHoldsIsReleased(t *testing.T) {
	for _, test := range []struct {
		name    string
		release func(t *testing.T, h *Hub, s *Session, peer net.Conn, cancelHub, cancelSession context.CancelFunc)
		want    error // of the Multicast that was held
		err     error // of the session
		after   time.Duration
	}{
		{name: "by the member that reads", release: func(_ *testing.T, _ *Hub, _ *Session, peer net.Conn, _, _ context.CancelFunc) {
			go io.Copy(io.Discard, peer)
		}},
		{name: "by the member's death", release: func(_ *testing.T, _ *Hub, _ *Session, peer net.Conn, _, _ context.CancelFunc) {
			peer.Close()
		}, err: io.ErrClosedPipe},
		{name: "by the member's Abort", release: func(_ *testing.T, _ *Hub, s *Session, _ net.Conn, _, _ context.CancelFunc) {
			s.Abort(nil)
		}, err: ErrClosed},
		{name: "by Leave", release: func(_ *testing.T, h *Hub, s *Session, _ net.Conn, _, _ context.CancelFunc) {
			h.Leave(s)
		}},
		{name: "by the session's CloseWrite", release: func(t *testing.T, _ *Hub, s *Session, _ net.Conn, _, _ context.CancelFunc) {
			require.NoError(t, s.CloseWrite())
		}},
		{name: "by the session's Close", release: func(t *testing.T, _ *Hub, s *Session, _ net.Conn, _, _ context.CancelFunc) {
			go s.Close()
		}},
		{name: "by the end of the session's context", release: func(_ *testing.T, _ *Hub, _ *Session, _ net.Conn, _, cancel context.CancelFunc) {
			cancel()
		}, err: context.Canceled},
		{name: "by the hub's Close", release: func(t *testing.T, h *Hub, _ *Session, _ net.Conn, _, _ context.CancelFunc) {
			require.NoError(t, h.Close())
		}, want: ErrClosed},
		{name: "by the end of the hub's context", release: func(_ *testing.T, _ *Hub, _ *Session, _ net.Conn, cancel, _ context.CancelFunc) {
			cancel()
		}, want: ErrClosed},
		{name: "by the hub's Shutdown when its context ends", release: func(t *testing.T, h *Hub, _ *Session, _ net.Conn, _, _ context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			require.ErrorIs(t, h.Shutdown(ctx), context.Canceled)
		}, want: ErrClosed},
		{name: "by WriteTimeout", release: func(*testing.T, *Hub, *Session, net.Conn, context.CancelFunc, context.CancelFunc) {
			time.Sleep(3 * time.Second)
		}, err: ErrLagged, after: 3 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hubCtx, cancelHub := context.WithCancel(t.Context())
				sessionCtx, cancelSession := context.WithCancel(t.Context())
				defer cancelHub()
				h := NewHub(hubCtx, &Options{Lag: LagBlock, MaxLag: 1000, WriteTimeout: 3 * time.Second})
				defer h.Close()
				conn, peer := memPair()
				s := NewSession(sessionCtx, conn, nil)
				defer func() { cancelSession(); peer.Close(); <-s.Done() }()
				require.NoError(t, h.Join(s))
				began := time.Now()
				held := heldPublisher(t, h, 400)
				test.release(t, h, s, peer, cancelHub, cancelSession)
				require.ErrorIs(t, <-held, test.want)
				require.Equal(t, test.after, time.Since(began))
				if test.err != nil {
					<-s.Done()
					require.ErrorIs(t, s.Err(), test.err)
				} else if test.name != "by the session's Close" {
					require.NoError(t, s.Err())
				}
			})
		})
	}
}

func TestLagBlockLosesNothingHoweverSlowAMemberIs(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		o.Lag, o.MaxLag = LagBlock, 1000
		h := testHub(t, &o)
		s, peer := joinMem(t, h, nil)
		var want []byte
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 200 {
				m := message(i, 1+i*7%900)
				want = append(want, m...)
				if err := h.Multicast(m); err != nil {
					t.Error(err)
				}
			}
		}()
		var got []byte
		buf := make([]byte, 1000)
		for range 40 { // WriteTimeout is long enough for each write
			time.Sleep(3 * time.Second)
			n, err := io.ReadFull(peer, buf)
			require.NoError(t, err)
			got = append(got, buf[:n]...)
			require.False(t, isClosed(done))
		}
		all := readInto(peer)
		<-done
		require.NoError(t, s.CloseWrite())
		require.Equal(t, want, append(got, <-all...))
	})
}

func TestTheMemberThatHoldsAPublisherForWriteTimeoutEndsWithErrLagged(t *testing.T) {
	for _, test := range []struct {
		name         string
		hub, session time.Duration // WriteTimeout
		want         time.Duration
	}{
		{"the hub's and the session's are the same", 10 * time.Second, 10 * time.Second, 10 * time.Second},
		{"the hub's is shorter", 2 * time.Second, 10 * time.Second, 2 * time.Second},
		{"the session's is shorter", 10 * time.Second, 2 * time.Second, 2 * time.Second},
		{"the session has none", 2 * time.Second, -1, 2 * time.Second},
		{"the hub has none", -1, 2 * time.Second, 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := testHub(t, &Options{Lag: LagBlock, MaxLag: 1000, WriteTimeout: test.hub})
				events := h.Events()
				s, _ := joinMem(t, h, &Options{WriteTimeout: test.session})
				began := time.Now()
				require.NoError(t, <-heldPublisher(t, h, 400))
				require.Equal(t, test.want, time.Since(began))
				<-s.Done()
				require.ErrorIs(t, s.Err(), ErrLagged)
				require.ErrorIs(t, s.Err(), os.ErrDeadlineExceeded)
				synctest.Wait()
				require.Equal(t, []EventKind{EventStarted, EventJoined, EventLagged, EventLeft}, kinds(events))
			})
		})
	}
}

func TestATimeoutOfTheSessionBesideTheHubsSaysTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &Options{Lag: LagBlock, MaxLag: 1000, WriteTimeout: time.Second})
		s, _ := joinMem(t, h, nil)
		held := heldPublisher(t, h, 400)
		h.mu.Lock()
		h.waits.gate.timer.Stop()
		h.mu.Unlock()
		time.Sleep(time.Second)
		stuck := h.dismissStuck()
		require.Len(t, stuck, 1)
		s.writeExpired() // before the hub ends it
		h.report(stuck)
		<-s.Done()
		require.ErrorIs(t, s.Err(), ErrLagged)
		require.NoError(t, <-held)
	})
}

func TestATimeoutOfTheSessionBesideLagDisconnectSaysTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &Options{Lag: LagDisconnect})
		s, _ := joinMem(t, h, nil)
		m := s.placesNow()[0]
		h.mu.Lock()
		late := h.treat(m)
		h.mu.Unlock()
		s.writeExpired() // before the hub ends it
		h.report([]lagger{late})
		<-s.Done()
		require.ErrorIs(t, s.Err(), ErrLagged)
	})
}

func TestProgressStartsTheHubsWriteTimeoutAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 64 << 10 // a write each
		h := testHub(t, &Options{Lag: LagBlock, MaxLag: 1 << 20, WriteTimeout: time.Second})
		s, peer := joinMem(t, h, &Options{WriteTimeout: -1})
		held := heldPublisher(t, h, size)
		began := time.Now()
		time.Sleep(600 * time.Millisecond)
		_, err := io.ReadFull(peer, make([]byte, size))
		require.NoError(t, err)
		synctest.Wait()
		require.Empty(t, held, "that was too little")
		require.NoError(t, <-held)
		require.Equal(t, 1600*time.Millisecond, time.Since(began))
		<-s.Done()
		require.ErrorIs(t, s.Err(), ErrLagged)
	})
}

func TestAnOldTimerDoesNotEndAMemberThatHasJustBegunToHoldPublishers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &Options{Lag: LagBlock, MaxLag: 1000})
		s, _ := joinMem(t, h, nil)
		held := heldPublisher(t, h, 400)
		time.Sleep(time.Second)
		h.gateExpired() // the callback of a timer that was stopped too late
		synctest.Wait()
		require.NoError(t, s.Err())
		require.Empty(t, held)
		h.Leave(s)
		require.NoError(t, <-held)
		h.gateExpired()
	})
}

func TestAHandlerThatPublishesWithLagBlockWhileItsPeerDoesNotReadIsReleased(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		o.Lag, o.MaxLag = LagBlock, 1000
		ln := newMemListener()
		l := Serve(context.Background(), ln, &o)
		defer l.Close()
		var handlers sync.WaitGroup
		handlers.Go(func() {
			for s := range l.Sessions() {
				handlers.Go(func() {
					defer s.Close()
					for m := range s.Recv() {
						l.Multicast(m)
					}
				})
			}
		})
		rude := ln.dial() // writes and never reads
		polite := ln.dial()
		all := readInto(polite)
		synctest.Wait() // both have joined
		for range 10 {
			_, err := rude.Write(message(0, 400))
			if err != nil {
				break
			}
		}
		rude.Write(message(0, 400))
		synctest.Wait()
		rude.Close()
		polite.CloseWrite()
		require.NotEmpty(t, <-all)
		l.Close()
		handlers.Wait()
	})
}

func TestWhoIsNoMemberAnyMoreKeepsNothingThatIsPublishedLater(t *testing.T) {
	const maxLag, messages, size = 1 << 20, 512, 64 << 10
	for _, test := range []struct {
		name string
		lag  LagPolicy
		end  func(h *Hub, s *Session)
	}{
		{"a session that was ended for being behind", LagDisconnect, func(_ *Hub, s *Session) {}},
		{"a session that was aborted", LagBlock, func(_ *Hub, s *Session) { s.Abort(nil) }},
		{"a session that has left, and whose peer does not read", LagBlock, func(h *Hub, s *Session) { h.Leave(s) }},
		{"a session that left and came back many times", LagDrop, func(h *Hub, s *Session) {
			for range 10 {
				h.Leave(s)
				h.Join(s)
			}
			h.Leave(s)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := testHub(t, &Options{Lag: test.lag, MaxLag: maxLag})
			s := pipeSessions(t, 1, &Options{WriteTimeout: -1})[0]
			conn, peer := net.Pipe()
			healthy := NewSession(context.Background(), conn, nil)
			defer func() { healthy.Abort(nil); <-healthy.Done() }()
			require.NoError(t, h.Join(s))
			require.NoError(t, h.Join(healthy))
			before := memory.Live()
			m := make([]byte, size)
			for i := range messages {
				if i == 8 {
					test.end(h, s)
				}
				require.NoError(t, h.Multicast(m))
				if i >= 4 { // it is never so healthy that the log is empty
					_, err := io.ReadFull(peer, m)
					require.NoError(t, err)
				}
			}
			require.Less(t, memory.Live()-before, int64(4<<20))
			runtime.KeepAlive(s)
		})
	}
}

func TestASessionsFlushIsNotHeldUpByWhatItsHubSkipped(t *testing.T) {
	for _, left := range []bool{false, true} {
		name := "a member"
		if left {
			name = "one that has left"
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := testHub(t, &Options{Lag: LagDrop, MaxLag: 1000})
				s, peer := joinMem(t, h, nil)
				_, other := joinMem(t, h, nil)
				go io.Copy(io.Discard, other)
				require.NoError(t, s.Put([]byte("own"))) // its writer is held by this
				synctest.Wait()
				require.NoError(t, h.Multicast(message(0, 600)))
				if left {
					h.Leave(s)
				}
				require.NoError(t, h.Multicast(message(1, 600)))
				synctest.Wait()
				dropped := int64(1)
				if left { // it is not judged by what was published after it left
					dropped = 0
				}
				require.Equal(t, dropped, s.Stats().MessagesDropped)
				flushed := make(chan error, 2)
				go func() { flushed <- s.Flush(t.Context()) }()
				go func() { flushed <- h.Flush(t.Context()) }()
				synctest.Wait()
				all := readInto(peer)
				require.NoError(t, <-flushed)
				require.NoError(t, <-flushed)
				require.NoError(t, s.CloseWrite())
				want := []byte("own")
				if left {
					want = append(want, message(0, 600)...)
				} else {
					want = append(want, message(1, 600)...)
				}
				require.Equal(t, want, <-all)
			})
		})
	}
}

func TestStalledMembersHoldAWriteEachAndNoMore(t *testing.T) {
	const members, maxLag, size = 100, 1 << 20, 1 << 10
	h := testHub(t, &Options{Lag: LagDrop, MaxLag: maxLag, EventQueue: -1})
	m := make([]byte, size)
	publish := func(n int) {
		for range n {
			require.NoError(t, h.Multicast(m))
		}
	}
	before := memory.Live()
	for _, s := range pipeSessions(t, members, &Options{WriteTimeout: -1}) {
		require.NoError(t, h.Join(s)) // each stalls at another place
		publish(200)
	}
	publish(10 * maxLag / size)
	grown := memory.Live() - before
	t.Logf("%d KiB a member", grown/members>>10)
	const write = 3 * blockSize // a chunk, one more that still went in, and the session itself
	require.Less(t, grown, int64(maxLag+blockSize+members*write))
}

// A pace keeps a publisher at most ahead bytes in front of the slowest of the
// readers that keep it.
type pace struct {
	mu    sync.Mutex
	moved *sync.Cond
	read  []int64
}

func newPace(readers int) *pace {
	p := &pace{read: make([]int64, readers)}
	p.moved = sync.NewCond(&p.mu)
	return p
}

func (p *pace) add(i, n int) {
	p.mu.Lock()
	p.read[i] += int64(n)
	p.mu.Unlock()
	p.moved.Signal()
}

func (p *pace) await(sent, ahead int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		slowest := sent
		for _, n := range p.read {
			slowest = min(slowest, n)
		}
		if sent-slowest <= ahead {
			return
		}
		p.moved.Wait()
	}
}

// TestAStalledMemberCostsTheOthersNothing publishes 256 MiB to ten healthy
// members and one whose peer does not read, over real sockets.
func TestAStalledMemberCostsTheOthersNothing(t *testing.T) {
	const healthy, maxLag, size = 10, 1 << 20, 16 << 10
	total := int64(256 << 20)
	if testing.Short() || raceEnabled {
		total = 32 << 20
	}
	messages := int(total / size)
	for _, lag := range lagPolicies {
		t.Run(lag.String(), func(t *testing.T) {
			o := &Options{Lag: lag, MaxLag: maxLag, WriteTimeout: -1, EventQueue: 1 << 16}
			if lag == LagBlock {
				o.WriteTimeout = time.Second
			}
			l := listenTCP(t, o)
			stalledConn, stalled := joinTCP(t, l)
			pace := newPace(healthy)
			var readers sync.WaitGroup
			for i := range healthy {
				conn, _ := joinTCP(t, l)
				readers.Go(func() {
					buf := make([]byte, size)
					for seq := range messages {
						if _, err := io.ReadFull(conn, buf); err != nil {
							t.Errorf("healthy member %d at message %d: %v", i, seq, err)
							pace.add(i, math.MaxInt/2)
							return
						}
						if seqOf(t, buf) != seq {
							t.Errorf("healthy member %d: message %d came as %d", i, seqOf(t, buf), seq)
							return
						}
						pace.add(i, size)
					}
				})
			}
			var grown int64
			base := memory.Live()
			for seq := range messages {
				require.NoError(t, l.Multicast(numbered(seq, size)))
				pace.await(int64(seq+1)*size, maxLag/2)
				if seq%64 == 0 {
					grown = max(grown, memory.Live()-base)
				}
			}
			readers.Wait()
			t.Logf("the heap grew by %d KiB", grown>>10)
			require.Less(t, grown, int64(16<<20))
			if lag == LagDrop {
				requireOnlyLaggedIsMissing(t, l, stalledConn, stalled, messages, size)
				return
			}
			awaitDone(t, stalled)
			// Where publishing takes long, its WriteTimeout is over before it lags.
			if err := stalled.Err(); lag != LagBlock || !errors.Is(err, os.ErrDeadlineExceeded) {
				require.ErrorIs(t, err, ErrLagged)
			}
			require.Equal(t, healthy, l.Hub().Len())
		})
	}
}

// requireOnlyLaggedIsMissing reads what a member that skipped messages got.
func requireOnlyLaggedIsMissing(t *testing.T, l *Listener, conn net.Conn, s *Session, messages, size int) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	var got, last int
	all := readInto(conn)
	require.NoError(t, s.CloseWrite())
	rest := <-all
	require.Zero(t, len(rest)%size, "half a message")
	last = -1
	for ; len(rest) > 0; rest = rest[size:] {
		seq := seqOf(t, rest[:size])
		require.Greater(t, seq, last)
		last = seq
		got++
	}
	require.Equal(t, messages-1, last, "the newest is never dropped")
	require.NoError(t, l.Hub().Close())
	lagged := 0
	for e := range l.Hub().Events() {
		if e.Kind == EventLagged {
			require.Equal(t, s, e.Session)
			lagged += e.Count
		}
	}
	require.Positive(t, lagged)
	require.Equal(t, messages-got, lagged)
	require.EqualValues(t, lagged, s.Stats().MessagesDropped)
	require.EqualValues(t, lagged, l.Hub().Stats().MessagesDropped)
}

// numbered returns message seq, of size bytes, each of which says seq.
func numbered(seq, size int) []byte {
	return bytes.Repeat([]byte{byte(seq >> 24), byte(seq >> 16), byte(seq >> 8), byte(seq)}, size/4)
}

// seqOf returns the number of a message, which must be whole.
func seqOf(t *testing.T, m []byte) int {
	seq := int(m[0])<<24 | int(m[1])<<16 | int(m[2])<<8 | int(m[3])
	if !bytes.Equal(m, numbered(seq, len(m))) {
		t.Errorf("message %d is damaged", seq)
	}
	return seq
}

func TestPublishingWithLagDropNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &Options{Lag: LagDrop, MaxLag: 1000})
		for range 10 {
			joinMem(t, h, &Options{WriteTimeout: -1})
		}
		began := time.Now()
		for i := range 10_000 {
			require.NoError(t, h.Multicast(message(i, 100)))
		}
		require.Zero(t, time.Since(began)) // and the bubble would tell of a deadlock
	})
}

func TestALateMemberIsTreatedOnceAPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &Options{Lag: LagDrop, MaxLag: 1000, EventQueue: 1000})
		events := h.Events()
		for range 5 {
			joinMem(t, h, &Options{WriteTimeout: -1})
		}
		require.NoError(t, h.Multicast(message(0, 1000)))
		synctest.Wait()
		require.NoError(t, h.Multicast(message(1, 1000)))
		kinds(events)
		require.NoError(t, h.Multicast(message(2, 1000)))
		require.Equal(t, []EventKind{EventLagged, EventLagged, EventLagged, EventLagged, EventLagged}, kinds(events))
		require.EqualValues(t, 5, h.Stats().MessagesDropped)
	})
}

func TestBytesOfAMemberThatEndsAreSentOrUndelivered(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(h *Hub, s *Session, peer net.Conn)
	}{
		{"Abort", func(_ *Hub, s *Session, _ net.Conn) { s.Abort(nil) }},
		{"the peer's death", func(_ *Hub, _ *Session, peer net.Conn) { peer.Close() }},
		{"being behind", func(h *Hub, s *Session, _ net.Conn) {
			for s.Err() == nil {
				h.Multicast(message(0, 300))
			}
		}},
		{"Close", func(_ *Hub, s *Session, peer net.Conn) { go io.Copy(io.Discard, peer); s.Close() }},
		{"Close of one whose peer does not read", func(_ *Hub, s *Session, peer net.Conn) { s.Close() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := testHub(t, &Options{MaxLag: 1000})
				s, peer := joinMem(t, h, nil)
				for i := range 4 {
					require.NoError(t, h.Multicast(message(i, 300)))
					synctest.Wait()
				}
				test.end(h, s, peer)
				<-s.Done()
				st := h.Stats()
				require.Equal(t, st.BytesReceived, st.BytesSent+st.Undelivered)
				require.Zero(t, st.BytesPending)
				own := s.Stats()
				require.Equal(t, st.BytesReceived, own.BytesSent+own.Undelivered)
				if own.Undelivered > 0 {
					require.ErrorIs(t, s.Flush(t.Context()), ErrClosed)
				}
			})
		})
	}
}

func TestNoByteIsCountedTwiceWhenAMemberEndsBesideItsWriter(t *testing.T) {
	for range 50 {
		h := testHub(t, &Options{Lag: LagBlock})
		conn, peer := net.Pipe()
		s := NewSession(t.Context(), conn, nil)
		require.NoError(t, h.Join(s))
		var publisher sync.WaitGroup
		publisher.Go(func() {
			for i := 0; s.Err() == nil; i++ {
				h.Multicast(message(i, i%3000))
			}
		})
		_, err := io.CopyN(io.Discard, peer, 1<<16)
		require.NoError(t, err)
		s.Abort(nil)
		publisher.Wait()
		peer.Close()
		awaitDone(t, s)
		st := h.Stats()
		require.Equal(t, st.BytesReceived, st.BytesSent+st.Undelivered)
	}
}
