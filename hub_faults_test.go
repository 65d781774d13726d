package chanio_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/memory"
)

// A burst is no member's fault: publishers wait for the members that read.
func TestABurstLeavesEveryReadingMemberInTheRoom(t *testing.T) {
	for _, members := range []int{2, 3, 20} {
		t.Run(fmt.Sprint(members), func(t *testing.T) { burstTo(t, members) })
	}
}

func burstTo(t *testing.T, members int) {
	const size = 64 << 10
	total := 100 << 20
	if testing.Short() || raceEnabled {
		total = 32 << 20
	}
	// On a busy machine a member may go without progress for longer than a tenth of
	// the default.
	l := listenTCP(t, &chanio.Options{WriteTimeout: time.Minute})
	var readers sync.WaitGroup
	for i := range members {
		conn, _ := joinTCP(t, l)
		readers.Go(func() {
			if n, err := io.CopyN(io.Discard, conn, int64(total)); err != nil {
				t.Errorf("member %d after %d bytes: %v", i, n, err)
			}
		})
	}
	m := make([]byte, size)
	for range total / size {
		require.NoError(t, l.Multicast(m))
	}
	readers.Wait()
	require.Equal(t, members, l.Hub().Len())
}

func TestLagDisconnectEndsALaggingMemberAtOnceIfOthersKeepUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &chanio.Options{MaxLag: 1 << 20})
		slow, _ := joinMem(t, h, &chanio.Options{WriteTimeout: -1})
		_, peer := joinMem(t, h, nil)
		go io.Copy(io.Discard, peer)
		require.NoError(t, h.Multicast([]byte("taken by one of them")))
		time.Sleep(time.Second)
		began := time.Now()
		for slow.Err() == nil {
			require.NoError(t, h.Multicast(make([]byte, 64<<10)))
			synctest.Wait()
		}
		require.Zero(t, time.Since(began))
		require.ErrorIs(t, slow.Err(), chanio.ErrLagged)
		require.Equal(t, 1, h.Len())
		peer.Close()
	})
}

func TestAMemberThatLagsForTheFirstTimeGetsAMoment(t *testing.T) {
	for _, reads := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const size, messages = 64 << 10, 64
			h := testHub(t, &chanio.Options{MaxLag: 1 << 20, WriteTimeout: 10 * time.Second})
			late, latePeer := joinMem(t, h, &chanio.Options{WriteTimeout: -1})
			_, peer := joinMem(t, h, nil)
			go io.Copy(io.Discard, peer)
			began := time.Now()
			got := make(chan int64, 1)
			go func() {
				time.Sleep(time.Second / 2)
				if reads {
					n, _ := io.Copy(io.Discard, latePeer)
					got <- n
				}
			}()
			for range messages {
				require.NoError(t, h.Multicast(make([]byte, size)))
				synctest.Wait() // the other one keeps up
			}
			if reads {
				require.Equal(t, time.Second/2, time.Since(began))
				require.Equal(t, 2, h.Len())
				require.NoError(t, late.CloseWrite())
				require.EqualValues(t, size*messages, <-got)
			} else {
				require.Equal(t, time.Second, time.Since(began))
				require.ErrorIs(t, late.Err(), chanio.ErrLagged)
			}
			peer.Close()
			latePeer.Close()
		})
	}
}

func TestAMemberThatReadsButNeverKeepsUpIsSparedOnlyForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 64 << 10
		h := testHub(t, &chanio.Options{MaxLag: 1 << 20, WriteTimeout: 10 * time.Second})
		slow, slowPeer := joinMem(t, h, nil)
		_, peer := joinMem(t, h, nil)
		go io.Copy(io.Discard, peer)
		var reads sync.WaitGroup
		reads.Go(func() {
			for buf := make([]byte, size/2); ; time.Sleep(time.Second / 10) {
				if _, err := io.ReadFull(slowPeer, buf); err != nil {
					return
				}
			}
		})
		began := time.Now()
		for slow.Err() == nil {
			require.NoError(t, h.Multicast(make([]byte, size)))
			synctest.Wait()
		}
		require.ErrorIs(t, slow.Err(), chanio.ErrLagged)
		require.LessOrEqual(t, time.Since(began), 4*time.Second)
		peer.Close()
		slowPeer.Close()
		reads.Wait()
	})
}

func TestPublishersThatOutrunEveryMemberWaitForTheBestOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxLag, size, messages = 1 << 20, 16 << 10, 1000
		h := testHub(t, &chanio.Options{MaxLag: maxLag, WriteTimeout: 10 * time.Second})
		pace := func(peer io.Reader, each time.Duration) <-chan int {
			got := make(chan int, 1)
			go func() {
				n, buf := 0, make([]byte, size)
				for {
					k, err := io.ReadFull(peer, buf)
					n += k
					if err != nil {
						got <- n
						return
					}
					time.Sleep(each)
				}
			}()
			return got
		}
		// All read at about the same pace, far more slowly than messages are
		// published: the best one needs longer than WriteTimeout for MaxLag/2.
		var sessions []*chanio.Session
		var got []<-chan int
		for i := range 5 {
			s, peer := joinMem(t, h, nil)
			sessions = append(sessions, s)
			got = append(got, pace(peer, time.Second+time.Duration(i)*time.Millisecond))
		}
		for range messages {
			require.NoError(t, h.Multicast(make([]byte, size)))
		}
		require.Equal(t, 5, h.Len())
		for i, s := range sessions {
			require.NoError(t, s.CloseWrite())
			require.Equal(t, messages*size, <-got[i])
			require.NoError(t, s.Err())
		}
	})
}

func TestPublishersWaitAtMostWriteTimeoutIfAllMembersStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &chanio.Options{MaxLag: 1000, WriteTimeout: 3 * time.Second})
		s, _ := joinMem(t, h, &chanio.Options{WriteTimeout: -1})
		began := time.Now()
		require.NoError(t, <-heldPublisher(t, h, 400))
		require.Equal(t, 3*time.Second, time.Since(began))
		<-s.Done()
		require.ErrorIs(t, s.Err(), chanio.ErrLagged)
	})
}

func TestUnreadEventsOfAHubHoldNoSessionThatHasEnded(t *testing.T) {
	h := testHub(t, nil)
	const sessions = 3
	gone := make(chan struct{}, sessions)
	for range sessions { // too few for the events of ended sessions to be dropped
		a, b := net.Pipe()
		session := chanio.NewSession(t.Context(), a, nil)
		runtime.AddCleanup(session, func(struct{}) { gone <- struct{}{} }, struct{}{})
		require.NoError(t, h.Join(session))
		session.Abort(nil)
		b.Close()
		<-session.Done()
	}
	memory.AwaitCollected(t, gone, sessions)
	require.Contains(t, kinds(h.Events()), chanio.EventStarted)
	runtime.KeepAlive(h)
}

func TestAPastMemberIsNotJudgedByLaterMessages(t *testing.T) {
	for _, lag := range lagPolicies {
		t.Run(lag.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, other := testHub(t, &chanio.Options{Lag: lag, MaxLag: 1 << 20}), testHub(t, nil)
				s, slow := joinMem(t, h, &chanio.Options{WriteTimeout: -1})
				require.NoError(t, other.Join(s))
				_, peer := joinMem(t, h, nil)
				go io.Copy(io.Discard, peer)
				require.NoError(t, h.Multicast(message(0, 1000)))
				synctest.Wait() // in a write
				require.NoError(t, h.Multicast(message(1, 100)))
				h.Leave(s)
				for range 100 {
					require.NoError(t, h.Multicast(make([]byte, 1<<18)))
					synctest.Wait()
				}
				require.NoError(t, s.Err())
				require.Zero(t, s.Stats().MessagesDropped)
				all := readInto(slow)
				require.NoError(t, s.CloseWrite())
				require.Equal(t, append(message(0, 1000), message(1, 100)...), <-all)
				peer.Close()
			})
		})
	}
}

// A stuckClose is a connection whose Close takes a while.
type stuckClose struct {
	net.Conn
	release chan struct{}
}

func (c stuckClose) Close() error {
	<-c.release
	return c.Conn.Close()
}

func TestALaggingMemberWithASlowCloseDelaysNoOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &chanio.Options{MaxLag: 1000})
		conn, _ := memPair()
		release := make(chan struct{})
		slow := chanio.NewSession(t.Context(), stuckClose{conn, release}, &chanio.Options{WriteTimeout: -1})
		require.NoError(t, h.Join(slow))
		_, peer := joinMem(t, h, nil)
		all := readInto(peer)
		for i := range 20 {
			require.NoError(t, h.Multicast(message(i, 400)))
			synctest.Wait() // a publisher that is held would be a deadlock
		}
		require.Equal(t, 1, h.Len())
		require.False(t, isClosed(slow.Done()), "its Done waits for the goroutine that closes")
		close(release)
		<-slow.Done()
		require.ErrorIs(t, slow.Err(), chanio.ErrLagged)
		peer.Close()
		<-all
	})
}

func TestLeavingAndComingBackCostsTheSameHoweverOftenItWasDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &chanio.Options{Lag: chanio.LagBlock})
		s, peer := joinMem(t, h, nil) // its peer reads nothing yet
		const toggles = 5000
		want := 0
		for i := range toggles {
			require.NoError(t, h.Multicast(message(i, 4)))
			want += 4
			h.Leave(s)
			require.NoError(t, h.Multicast([]byte("missed")))
			require.NoError(t, h.Join(s))
		}
		require.Equal(t, 1, h.Places(), "one place, however often")
		require.Equal(t, 1, s.MemberPlaces())
		all := readInto(peer)
		require.NoError(t, s.CloseWrite())
		require.Len(t, <-all, want)
		require.Zero(t, h.Kept())
	})
}

func TestAHubHoldsMaxLagAndASegmentHoweverLargeItsMessages(t *testing.T) {
	const maxLag, members = 8 << 20, 2
	for _, size := range []int{1 << 10, 20 << 10, 22 << 10, 33 << 10, 40 << 10, 65 << 10, 100 << 10, 1 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			h := testHub(t, &chanio.Options{Lag: chanio.LagDrop, MaxLag: maxLag, EventQueue: -1})
			sessions := pipeSessions(t, members, &chanio.Options{WriteTimeout: -1})
			for _, s := range sessions {
				require.NoError(t, h.Join(s))
			}
			m := make([]byte, size)
			before, most := memory.Live(), int64(0)
			for i := range 3 * maxLag / size {
				require.NoError(t, h.Multicast(m))
				if i%(maxLag/size/8+1) == 0 {
					most = max(most, memory.Live()-before)
				}
			}
			const segment = 64 << 10
			writes := int64(members * max(2*segment, size+segment))
			t.Logf("%.3f of MaxLag", float64(most)/maxLag)
			require.Less(t, most, int64(maxLag*33/32)+segment+writes+(128<<10))
			runtime.KeepAlive(sessions)
		})
	}
}

func TestAHubOfAThousandLaggingMembersThatClosesHoldsMaxLag(t *testing.T) {
	const maxLag, members = 8 << 20, 1000
	h := testHub(t, &chanio.Options{Lag: chanio.LagDrop, MaxLag: maxLag, EventQueue: -1})
	sessions := pipeSessions(t, members, &chanio.Options{WriteTimeout: -1})
	for _, s := range sessions {
		require.NoError(t, h.Join(s))
	}
	for range maxLag / (64 << 10) {
		require.NoError(t, h.Multicast(make([]byte, 60<<10)))
	}
	before := memory.Live()
	require.NoError(t, h.Close())
	grown := memory.Live() - before
	t.Logf("%d KiB more", grown>>10)
	require.Less(t, grown, int64(maxLag/4), "a list of its segments a member")
	runtime.KeepAlive(sessions)
}

func TestBytesSentOfAHubAreExactWhenFlushReturns(t *testing.T) {
	const size = 10
	l := listenTCP(t, nil)
	for range 3 {
		conn, _ := joinTCP(t, l)
		go io.Copy(io.Discard, conn)
	}
	for i := range 2000 {
		require.NoError(t, l.Multicast(make([]byte, size)))
		require.NoError(t, l.Hub().Flush(t.Context()))
		require.EqualValues(t, 3*size*(i+1), l.Hub().Stats().BytesSent)
	}
}

func TestBytesThatADeadMemberHadWrittenCount(t *testing.T) {
	const messages, size = 4, 4 << 20
	l := listenTCP(t, nil)
	conn, s := joinTCP(t, l)
	for range messages {
		require.NoError(t, l.Multicast(make([]byte, size)))
	}
	read := int64(size + size/2)
	_, err := io.CopyN(io.Discard, conn, read)
	require.NoError(t, err)
	s.Abort(nil)
	awaitDone(t, s)
	own, hub := s.Stats(), l.Hub().Stats()
	require.GreaterOrEqual(t, hub.BytesSent, read)
	require.Equal(t, own.BytesSent, hub.BytesSent)
	require.Equal(t, hub.BytesReceived, hub.BytesSent+hub.Undelivered)
	require.Equal(t, own.Undelivered, hub.Undelivered)
	require.Zero(t, hub.BytesPending)
}
