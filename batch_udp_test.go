package chanio_test

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestUDPSessionsReceiveAndSendBatches(t *testing.T) {
	l, err := chanio.Listen(t.Context(), "udp", "127.0.0.1:0", nil)
	require.NoError(t, err)
	defer l.Close()
	c, err := chanio.Dial(t.Context(), "udp", l.Addr().String(), nil)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.PutBatch(batchOf("one", "")))
	s := <-l.Sessions()
	s.RecvBatch() // before that, it holds two datagrams
	require.NoError(t, c.PutBatch(batchOf("three")))
	var got []string
	for len(got) < 3 {
		b := <-s.RecvBatch()
		require.NotZero(t, b.Len())
		got = append(got, messagesOf(b)...)
		require.NoError(t, s.PutBatch(b))
	}
	require.Equal(t, []string{"one", "", "three"}, got)
	var sendBack []string
	for len(sendBack) < 3 {
		b := <-c.RecvBatch()
		sendBack = append(sendBack, messagesOf(b)...)
		b.Release()
	}
	require.Equal(t, got, sendBack)
	messages := s.Recv()
	require.Empty(t, messages)
	require.ErrorIs(t, s.PutBatch(batchOf(string(make([]byte, 70_000)))), chanio.ErrMessageTooLarge)
	require.NoError(t, s.Close())
	_, open := <-s.RecvBatch()
	require.False(t, open)
	_, open = <-messages
	require.False(t, open)
}

func TestRecvBatchAfterTheEndOfAUDPSessionYieldsWhatItHad(t *testing.T) {
	l, err := chanio.Listen(t.Context(), "udp", "127.0.0.1:0", nil)
	require.NoError(t, err)
	defer l.Close()
	c, err := chanio.Dial(t.Context(), "udp", l.Addr().String(), nil)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Put([]byte("hello")))
	s := <-l.Sessions()
	s.Abort(nil)
	<-s.Done()
	var got []string
	for b := range s.RecvBatch() {
		got = append(got, messagesOf(b)...)
	}
	require.Equal(t, []string{"hello"}, got)
}

func TestAUDPSessionThatIsAskedForBatchesAfterItsEndYieldsAllThatItHad(t *testing.T) {
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer server.Close()
	s, err := chanio.Dial(t.Context(), "udp", server.LocalAddr().String(), nil)
	require.NoError(t, err)
	const sent, size = 20, 8 << 10 // more than one batch holds
	for i := range sent {
		_, err := server.WriteTo(message(i, size), s.LocalAddr())
		require.NoError(t, err)
		require.Eventually(t, func() bool { return s.Stats().MessagesReceived > int64(i) }, patience, time.Millisecond)
	}
	s.Abort(nil)
	awaitDone(t, s)
	got := 0
	for b := range s.RecvBatch() {
		for _, m := range b.All() {
			require.Equal(t, message(got, size), m)
			got++
		}
		b.Release()
	}
	require.Equal(t, sent, got)
	require.EqualValues(t, sent, s.Stats().MessagesReceived)
}

func TestUndeliverableDatagramsAreCountedAsDropped(t *testing.T) {
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer server.Close()
	for _, queue := range []int{-1, 1, 8, 0} {
		s, err := chanio.Dial(t.Context(), "udp", server.LocalAddr().String(), &chanio.Options{RecvQueue: queue})
		require.NoError(t, err)
		batches := s.RecvBatch()
		const sent = 100
		for range sent {
			_, err := server.WriteTo([]byte("12345"), s.LocalAddr())
			require.NoError(t, err)
		}
		require.Eventually(t, func() bool { return s.Stats().MessagesReceived > int64(queue) }, patience, time.Millisecond)
		s.Abort(nil)
		awaitDone(t, s)
		got := 0
		for b := range batches {
			got += b.Len()
		}
		st := s.Stats()
		require.EqualValues(t, got, st.MessagesReceived)
		require.EqualValues(t, 5*got, st.BytesReceived)
		require.LessOrEqual(t, int64(got)+st.MessagesDropped, int64(sent))
	}
}

// A handler that is late finds all that has arrived in one batch, however many
// datagrams Recv would hold.
func TestABatchGathersDatagramsUntilItIsReceived(t *testing.T) {
	const sent = 1000
	t.Run("listener", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, l := memPeers(t, t.Context(), &chanio.Options{RecvQueue: 2})
			s := m.session(1, l)
			batches := s.RecvBatch()
			for i := range sent {
				m.from(1, string(message(i, 8)))
			}
			b := <-batches
			require.Equal(t, sent+1, b.Len())
			require.Equal(t, "hello", string(b.At(0)))
			for i := range sent {
				require.Equal(t, message(i, 8), b.At(i+1))
			}
			require.Empty(t, batches)
			require.EqualValues(t, sent+1, s.Stats().MessagesReceived)
			require.Zero(t, s.Stats().MessagesDropped)
			s.Abort(nil)
		})
	})
	t.Run("dialed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newMemSocket()
			s, err := chanio.DialOver(t.Context(), m, peerAddress(1), nil)
			require.NoError(t, err)
			batches := s.RecvBatch()
			for i := range sent {
				m.from(1, string(message(i, 8)))
			}
			b := <-batches
			require.Equal(t, sent, b.Len())
			for i := range sent {
				require.Equal(t, message(i, 8), b.At(i))
			}
			require.EqualValues(t, sent, s.Stats().MessagesReceived)
			s.Abort(nil)
			<-s.Done()
			require.True(t, isClosed(batches))
		})
	})
}

// What waits is bounded in bytes and, for empty datagrams, in number.
func TestAWaitingBatchOfAUDPSessionIsBounded(t *testing.T) {
	const block = 64 << 10
	for _, size := range []int{0, 1, 1000, block / 2, 65_000} {
		synctest.Test(t, func(t *testing.T) {
			_, l := memPeers(t, t.Context(), nil)
			s := l.NewPeer(t.Context(), peerAddress(1))
			batches := s.RecvBatch()
			run := runOf(100)
			for i := range run {
				run[i].Data = make([]byte, size)
			}
			sent := int64(0)
			for range 200 {
				s.ReceiveRun(run)
				sent += int64(len(run))
			}
			st := s.Stats()
			require.Positive(t, st.MessagesDropped)
			require.Equal(t, sent, st.MessagesReceived+st.MessagesDropped)
			b := <-batches
			require.EqualValues(t, b.Len(), st.MessagesReceived)
			require.LessOrEqual(t, b.Size(), block)
			require.LessOrEqual(t, b.Len(), 8<<10)
			require.Empty(t, batches)
			s.ReceiveRun(run[:1]) // there is room again
			require.Equal(t, 1, (<-batches).Len())
		})
	}
}

// A receiver of batches that does not receive costs one yield, and no more until
// it has received.
func TestNoOneYieldsToAStalledReceiverOfBatches(t *testing.T) {
	l := listenUDP(t, nil)
	s := l.NewPeer(t.Context(), peerAddress(1))
	batches := s.RecvBatch()
	large := runOf(3)
	for i := range large {
		large[i].Data = make([]byte, 30<<10)
	}
	require.Equal(t, chanio.RecvFull, s.PutRun(large, false))
	require.Equal(t, chanio.RecvStalled, s.PutRun(large, true), "nothing was received meanwhile")
	require.Equal(t, chanio.RecvStalled, s.PutRun(large, false))
	<-batches
	require.Equal(t, chanio.RecvFull, s.PutRun(large, false), "it keeps up again")
}
