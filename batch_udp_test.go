package chanio_test

import (
	"net"
	"testing"
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
