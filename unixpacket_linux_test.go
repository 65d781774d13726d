package chanio_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// packetPair returns a session over unixpacket with these options, and its
// peer.
func packetPair(t *testing.T, o *chanio.Options) (*chanio.Session, *net.UnixConn) {
	t.Helper()
	conn, peer := socketPair(t, "unixpacket")
	require.NoError(t, peer.SetDeadline(time.Now().Add(patience)))
	s := chanio.NewSession(t.Context(), conn, o)
	t.Cleanup(func() {
		s.Abort(nil)
		peer.Close()
		awaitDone(t, s)
	})
	return s, peer.(*net.UnixConn)
}

func TestUnixpacketKeepsMessagesWhole(t *testing.T) {
	sizes := []int{1, 2, 1000, 1, 64 << 10, 64<<10 + 1, 100_000, 3}
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			l := listenOn(t, t.Context(), "unixpacket", unixPath(t), &q.o)
			done := serveEach(l, sendBack)
			s, err := chanio.Dial(t.Context(), "unixpacket", l.Addr().String(), &q.o)
			require.NoError(t, err)
			for round := range 2 {
				go func() {
					for i, size := range sizes {
						s.Put(message(i, size))
					}
					if round == 1 {
						s.CloseWrite()
					}
				}()
				for i, size := range sizes {
					m, ok := await(t, s.Recv(), "a message")
					require.True(t, ok, "%v", s.Err())
					require.True(t, bytes.Equal(message(i, size), m), "message %d", i)
					require.Equal(t, len(m), cap(m))
				}
			}
			_, ok := await(t, s.Recv(), "the end")
			require.False(t, ok)
			awaitDone(t, s)
			require.NoError(t, s.Err())
			st := s.Stats()
			require.EqualValues(t, 2*len(sizes), st.MessagesSent)
			require.EqualValues(t, 2*len(sizes), st.MessagesReceived)
			require.Equal(t, st.BytesSent, st.BytesReceived)
			require.Zero(t, st.BytesPending)
			require.NoError(t, l.Shutdown(t.Context()))
			await(t, done, "the handlers")
		})
	}
}

func TestUnixpacketBatchesKeepMessagesWhole(t *testing.T) {
	s, peer := packetPair(t, nil)
	b := chanio.NewBatch()
	for i := range 100 {
		b.Append(message(i, 1+i))
	}
	require.NoError(t, s.PutBatch(b))
	buf := make([]byte, 1000)
	for i := range 100 {
		n, err := peer.Read(buf)
		require.NoError(t, err)
		require.Equal(t, message(i, 1+i), buf[:n])
		_, err = peer.Write(buf[:n])
		require.NoError(t, err)
	}
	require.NoError(t, peer.CloseWrite())
	i := 0
	for b := range s.RecvBatch() {
		for _, m := range b.All() {
			require.Equal(t, message(i, 1+i), m)
			i++
		}
		b.Release()
	}
	require.Equal(t, 100, i)
}

func TestAUnixpacketPeersEndClosesRecvAndNotTheSession(t *testing.T) {
	s, peer := packetPair(t, nil)
	require.NoError(t, peer.CloseWrite())
	_, ok := await(t, s.Recv(), "the end")
	require.False(t, ok)
	require.NoError(t, s.Put([]byte("the answer")))
	require.NoError(t, s.Close())
	buf := make([]byte, 100)
	n, err := peer.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "the answer", string(buf[:n]))
	require.NoError(t, s.Err())
}

func TestWhatAUnixpacketPeerSentBeforeItClosedIsDeliveredAlthoughItHadInputToRead(t *testing.T) {
	// Its kernel then reports a reset, to us ahead of the packets.
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			s, peer := packetPair(t, &q.o)
			require.NoError(t, s.Put([]byte("it will not read this")))
			require.NoError(t, s.Flush(t.Context()))
			var want []string
			for i := range 100 {
				want = append(want, fmt.Sprint("answer ", i))
				_, err := peer.Write([]byte(want[i]))
				require.NoError(t, err)
			}
			require.NoError(t, peer.Close())
			var got []string
			for m := range s.Recv() {
				got = append(got, string(m))
			}
			require.Equal(t, want, got)
			awaitDone(t, s)
			require.ErrorIs(t, s.Err(), errReset)
		})
	}
}

func TestAUnixpacketIsNotLostToAResetThatComesWhileItIsRead(t *testing.T) {
	conn, peer := socketPair(t, "unixpacket")
	defer conn.Close()
	_, err := conn.Write([]byte("it will not read this"))
	require.NoError(t, err)
	_, err = peer.Write([]byte("the answer"))
	require.NoError(t, err)
	p := make([]byte, 100)
	n, err, next := chanio.TakePacket(conn, p, func() { peer.Close() })
	require.NoError(t, err)
	require.Equal(t, "the answer", string(p[:n]))
	require.ErrorIs(t, next, errReset)
}

func TestCloseOfAUnixpacketSessionWithUnreadInputDeliversWhatWasAccepted(t *testing.T) {
	s, peer := packetPair(t, nil)
	for range 100 {
		_, err := peer.Write([]byte("nobody receives this"))
		require.NoError(t, err)
	}
	require.NoError(t, s.Put([]byte("accepted")))
	require.NoError(t, peer.CloseWrite())
	require.NoError(t, s.Close())
	buf := make([]byte, 100)
	n, err := peer.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "accepted", string(buf[:n]))
}

func TestAMessageTooLargeForAPacketIsTheSendersError(t *testing.T) {
	s, peer := packetPair(t, &chanio.Options{WriteBuffer: 16 << 10})
	_, limit := s.MessageSizes()
	require.Greater(t, limit, 16<<10)
	err := s.Put(make([]byte, limit+1))
	require.ErrorIs(t, err, chanio.ErrMessageTooLarge)
	require.ErrorIs(t, s.Put(nil), errors.ErrUnsupported, "it would be the end")
	require.NoError(t, s.Put(make([]byte, limit)))
	buf := make([]byte, limit+1)
	n, err := peer.Read(buf)
	require.NoError(t, err)
	require.Equal(t, limit, n)
	require.NoError(t, s.Err())

	s.Send() <- make([]byte, limit+1)
	awaitDone(t, s)
	require.ErrorIs(t, s.Err(), chanio.ErrMessageTooLarge)
	require.EqualValues(t, limit+1, s.Stats().Undelivered)
}

func TestABatchWithAMessageThatNoPacketHoldsEndsTheSession(t *testing.T) {
	for _, test := range []struct {
		name string
		bad  func(limit int) string
		want error
	}{
		{"too large", func(limit int) string { return string(make([]byte, limit+1)) }, chanio.ErrMessageTooLarge},
		{"empty", func(int) string { return "" }, errors.ErrUnsupported},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, peer := packetPair(t, &chanio.Options{WriteBuffer: 16 << 10})
			_, limit := s.MessageSizes()
			m := test.bad(limit)
			require.ErrorIs(t, s.PutBatch(batchOf("good", m, "lost")), test.want)
			s.SendBatch() <- batchOf("good", m, "lost")
			awaitDone(t, s)
			require.ErrorIs(t, s.Err(), test.want)
			buf := make([]byte, 100)
			n, err := peer.Read(buf)
			require.NoError(t, err)
			require.Equal(t, "good", string(buf[:n]))
			n, _ = peer.Read(buf)
			require.Zero(t, n, "the end")
			st := s.Stats()
			require.EqualValues(t, 1, st.MessagesSent)
			require.EqualValues(t, len(m)+len("lost"), st.Undelivered)
			require.Zero(t, st.MessagesDropped)
			require.ErrorIs(t, s.Close(), test.want, "it did not send all")
		})
	}
}

func TestAMulticastThatNoPacketHoldsIsLostByItself(t *testing.T) {
	l := listenOn(t, t.Context(), "unixpacket", unixPath(t), &chanio.Options{WriteBuffer: 16 << 10})
	peer := connectTo(t, l)
	s := nextSession(t, l)
	_, limit := s.MessageSizes()
	require.NoError(t, l.Multicast([]byte("before")))
	require.NoError(t, l.Multicast(make([]byte, limit+1)))
	require.NoError(t, l.Multicast([]byte("after")))
	buf := make([]byte, 100)
	for _, want := range []string{"before", "after"} {
		n, err := peer.Read(buf)
		require.NoError(t, err)
		require.Equal(t, want, string(buf[:n]))
	}
	require.NoError(t, s.Err())
	require.EqualValues(t, 1, s.Stats().MessagesDropped)
	require.EqualValues(t, limit+1, s.Stats().Undelivered)
	require.EqualValues(t, 1, l.Hub().Stats().MessagesDropped)
	for e := range l.Events() {
		if e.Kind == chanio.EventFailed {
			require.Equal(t, s, e.Session)
			require.ErrorIs(t, e.Err, chanio.ErrMessageTooLarge)
			break
		}
	}
	require.ErrorIs(t, s.Flush(t.Context()), chanio.ErrMessageTooLarge)
}

func TestAUnixpacketMessagePastMaxMessageEndsTheInput(t *testing.T) {
	s, peer := packetPair(t, &chanio.Options{MaxMessage: 100})
	for _, size := range []int{100, 101, 101, 5} {
		_, err := peer.Write(make([]byte, size))
		require.NoError(t, err)
	}
	m, _ := await(t, s.Recv(), "a message")
	require.Len(t, m, 100)
	_, ok := await(t, s.Recv(), "the end")
	require.False(t, ok)
	require.ErrorIs(t, s.Err(), chanio.ErrMessageTooLarge)
	require.NoError(t, s.Put([]byte("why")), "the output goes on")
	require.NoError(t, peer.CloseWrite())
	buf := make([]byte, 10)
	n, err := peer.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "why", string(buf[:n]))
}

func TestWriteTimeoutEndsAUnixpacketSessionWhosePeerTakesNothing(t *testing.T) {
	s, _ := packetPair(t, &chanio.Options{WriteTimeout: 50 * time.Millisecond})
	go func() {
		for s.Put(make([]byte, 10_000)) == nil {
		}
	}()
	awaitDone(t, s)
	requireTimeout(t, s.Err())
	require.Zero(t, s.Stats().BytesPending)
	require.Positive(t, s.Stats().Undelivered)
}

func TestAHubOfUnixpacketMembersKeepsMessagesWhole(t *testing.T) {
	l := listenOn(t, t.Context(), "unixpacket", unixPath(t), nil)
	var peers []net.Conn
	for range 3 {
		peers = append(peers, connectTo(t, l))
		nextSession(t, l)
	}
	for i := range 200 {
		require.NoError(t, l.Multicast(message(i, 1+i)))
	}
	require.NoError(t, l.Multicast(nil))
	require.NoError(t, l.Multicast([]byte("the last")))
	buf := make([]byte, 1000)
	for _, peer := range peers {
		for i := range 200 {
			n, err := peer.Read(buf)
			require.NoError(t, err)
			require.Equal(t, message(i, 1+i), buf[:n])
		}
		n, err := peer.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "the last", string(buf[:n]), "an empty message is nothing")
	}
}

func TestAResetThatAUnixpacketWriterHasMetCutsTheInputOff(t *testing.T) {
	// Of two calls, the first learns of it.
	s, peer := packetPair(t, &chanio.Options{RecvQueue: -1})
	recv := s.Recv()
	require.NoError(t, s.Put([]byte("it will not read this")))
	require.NoError(t, s.Flush(t.Context()))
	_, err := peer.Write([]byte("x"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return s.Stats().BytesReceived > 0 }, patience, time.Millisecond)
	require.NoError(t, peer.Close())
	require.ErrorIs(t, s.TryWrite([]byte("x")), errReset)
	m, _ := await(t, recv, "what came before")
	require.Equal(t, "x", string(m))
	_, ok := await(t, recv, "the end")
	require.False(t, ok)
	require.ErrorIs(t, s.Err(), errReset)
}

func TestAHubsMessageThatNoPacketHoldsIsToldByCloseAfterCloseWrite(t *testing.T) {
	s, peer := packetPair(t, &chanio.Options{SendQueue: -1})
	h := testHub(t, nil)
	require.NoError(t, h.Join(s))
	require.NoError(t, h.Multicast(make([]byte, 8<<20)))
	require.NoError(t, s.CloseWrite())
	_, err := peer.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	s.Send() <- []byte("too late") // the output has ended, and the writer only refuses
	peer.Close()
	require.ErrorIs(t, s.Close(), chanio.ErrMessageTooLarge)
}
