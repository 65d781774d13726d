package chanio_test

import (
	"testing"

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

func TestAUDPSessionThatIsAskedForBatchesAfterItsEndYieldsWhatItHad(t *testing.T) {
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
