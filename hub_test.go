package chanio_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestEveryMemberGetsEveryMessageOfManyPublishersInOneOrder(t *testing.T) {
	const members, publishers = 50, 4
	each := 100_000
	if testing.Short() {
		each = 5_000
	}
	l := listenTCP(t, &chanio.Options{Lag: chanio.LagBlock, MaxLag: 1 << 20})
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
	var sessions [3]*chanio.Session
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

func TestJoinRefusesInvalidMembers(t *testing.T) {
	ended := func(o *chanio.Options) *chanio.Session {
		s := pipeSessions(t, 1, o)[0]
		s.Abort(nil)
		return s
	}
	closedHub := chanio.NewHub(t.Context(), nil)
	require.NoError(t, closedHub.Close())
	halfClosed, _ := memSession(t, nil)
	require.NoError(t, halfClosed.CloseWrite())
	running, _ := memSession(t, nil)
	closedLines := chanio.NewHub(t.Context(), &chanio.Options{Framing: chanio.Lines{}})
	require.NoError(t, closedLines.Close())
	for _, test := range []struct {
		name string
		hub  *chanio.Hub
		s    *chanio.Session
		want error // nil if text says it
		text string
	}{
		{"nil", testHub(t, nil), nil, nil, "nil session"},
		{"a session that has ended", testHub(t, nil), ended(nil), chanio.ErrClosed, "closed"},
		{"a session that was closed for writing", testHub(t, nil), halfClosed, chanio.ErrClosed, "closed"},
		{"a session, to a hub that was closed", closedHub, running, chanio.ErrClosed, "closed"},
		{"a session with another framing that has ended", testHub(t, &chanio.Options{Framing: chanio.Lines{}}), ended(nil), chanio.ErrClosed, "closed"},
		{"a session with another framing, to a hub that was closed", closedLines, running, chanio.ErrClosed, "closed"},
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
		require.Equal(t, []*chanio.Session{s}, slices.Collect(h.All()))
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
		require.Equal(t, []chanio.EventKind{chanio.EventStarted, chanio.EventJoined, chanio.EventLeft, chanio.EventStopped}, kinds(h.Events()))
	})
}

func TestMulticastReportsWhatItCannotPublish(t *testing.T) {
	closed := func(o *chanio.Options) *chanio.Hub {
		h := chanio.NewHub(t.Context(), o)
		require.NoError(t, h.Close())
		return h
	}
	foul := errors.New("foul")
	prefix := chanio.LengthPrefix{Size: 1}
	for _, test := range []struct {
		name string
		hub  *chanio.Hub
		n    int
		want error
	}{
		{"to no members", testHub(t, nil), 10, nil},
		{"nothing to no members", testHub(t, nil), 0, nil},
		{"exactly MaxLag", testHub(t, &chanio.Options{MaxLag: 10}), 10, nil},
		{"more than MaxLag", testHub(t, &chanio.Options{MaxLag: 10}), 11, chanio.ErrMessageTooLarge},
		{"exactly MaxLag with its framing", testHub(t, &chanio.Options{MaxLag: 10, Framing: prefix}), 9, nil},
		{"more than MaxLag with its framing", testHub(t, &chanio.Options{MaxLag: 10, Framing: prefix}), 10, chanio.ErrMessageTooLarge},
		{"more than the framing can say", testHub(t, &chanio.Options{Framing: prefix}), 256, chanio.ErrMessageTooLarge},
		{"what the framing refuses", testHub(t, &chanio.Options{Framing: wild{err: foul}}), 10, foul},
		{"after Close", closed(nil), 10, chanio.ErrClosed},
		{"nothing after Close", closed(nil), 0, chanio.ErrClosed},
		{"more than MaxLag after Close", closed(&chanio.Options{MaxLag: 10}), 11, chanio.ErrClosed},
		{"what the framing refuses, after Close", closed(&chanio.Options{Framing: wild{err: foul}}), 10, chanio.ErrClosed},
		{"to a hub of bad options", chanio.NewHub(t.Context(), &chanio.Options{MaxLag: -1}), 10, chanio.ErrClosed},
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
	h := testHub(t, &chanio.Options{Framing: panicky{}})
	s := pipeSessions(t, 1, &chanio.Options{Framing: panicky{}})[0]
	require.NoError(t, h.Join(s))
	for range 3 {
		require.PanicsWithValue(t, "no", func() { h.Multicast([]byte("x")) })
	}
	require.Equal(t, 1, h.Len())
	h.Leave(s)
}

// panicky is a Framing that breaks its contract.
type panicky struct{ chanio.Lines }

func (panicky) AppendFrame([]byte, []byte) ([]byte, error) { panic("no") }

func TestMulticastCopiesAndFramesOnce(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.Framing = chanio.LengthPrefix{Size: 2}
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

func TestEmptyMessagesAreNothingOnRawStreamsAndDelayNoOne(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
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
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.Framing = chanio.Lines{}
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
			require.Equal(t, []chanio.EventKind{chanio.EventStarted, chanio.EventJoined, chanio.EventFailed, chanio.EventLeft}, kinds(events))
		}
	})
}

func TestSendAfterTheEndIsNeverReceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := chanio.NewHub(t.Context(), &chanio.Options{SendQueue: -1})
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
		h := chanio.NewHub(t.Context(), &chanio.Options{Lag: chanio.LagBlock, MaxLag: 1000, SendQueue: 10})
		joinMem(t, h, &chanio.Options{WriteTimeout: -1})
		for range 10 {
			h.Send() <- make([]byte, 400)
		}
		synctest.Wait()
		require.NoError(t, h.Close())
	})
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
		require.Equal(t, chanio.Stats{
			Sessions: 2, Accepted: 2,
			BytesReceived: 15, MessagesReceived: 3,
			BytesSent: 15, MessagesSent: 3,
			BytesPending: 15,
		}, h.Stats())
		b.Abort(nil)
		<-b.Done()
		require.NoError(t, a.Close())
		require.Equal(t, chanio.Stats{
			Accepted:      2,
			BytesReceived: 15, MessagesReceived: 3,
			BytesSent: 15, MessagesSent: 3,
			Undelivered: 15,
		}, h.Stats())
	})
}
