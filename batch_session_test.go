package chanio_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestTheFirstToAskGetsTheMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, peer := memSession(t, &chanio.Options{Framing: chanio.Lines{}})
		batches := s.RecvBatch()
		peer.Write([]byte("a\nb\n"))
		messages := s.Recv()
		require.Equal(t, []string{"a", "b"}, messagesOf(<-batches))
		synctest.Wait()
		require.Empty(t, messages)
		peer.CloseWrite()
		_, open := <-batches
		require.False(t, open)
		_, open = <-messages
		require.False(t, open)
		s.Close()

		s, peer = memSession(t, nil)
		messages = s.Recv()
		batches = s.RecvBatch()
		peer.Write([]byte("a"))
		require.Equal(t, "a", string(<-messages))
		s.Close()
		_, open = <-batches
		require.False(t, open)
		_, open = <-s.Recv()
		require.False(t, open)
	})
}

func TestASessionWithoutARecvCallHoldsOneBatchAndSeesThePeersEnd(t *testing.T) {
	for _, framing := range []chanio.Framing{nil, chanio.LengthPrefix{}} {
		synctest.Test(t, func(t *testing.T) {
			a, b := net.Pipe()
			s := chanio.NewSession(t.Context(), b, &chanio.Options{Framing: framing})
			wrote := 0
			go func() {
				p := make([]byte, 4000) // or many empty messages
				for {
					n, err := a.Write(p)
					if wrote += n; err != nil {
						return
					}
				}
			}()
			synctest.Wait()
			require.LessOrEqual(t, wrote, chanio.BlockSize)
			s.Abort(nil)
			<-s.Done()
			a.Close()

			s, peer := memSession(t, &chanio.Options{Framing: framing})
			peer.CloseWrite()
			go io.Copy(io.Discard, peer)
			synctest.Wait()
			require.NoError(t, s.Put(nil))
			require.NoError(t, s.CloseWrite())
			<-s.Done()
			require.NoError(t, s.Err())
			_, open := <-s.RecvBatch()
			require.False(t, open)
			_, open = <-s.Recv()
			require.False(t, open)
		})
	}
}

func TestOnlyTheOwnerOfABatchMayUseIt(t *testing.T) {
	ctx := context.Background()
	for name, test := range map[string]func(t *testing.T, s, other *chanio.Session){
		"sent to two": func(t *testing.T, s, other *chanio.Session) {
			b := batchOf("a", "b")
			require.NoError(t, s.PutBatch(b))
			require.ErrorIs(t, other.PutBatch(b), chanio.ErrBatchGone)
			require.NoError(t, s.Flush(ctx))
			require.ErrorIs(t, s.PutBatch(b), chanio.ErrBatchGone)
			other.SendBatch() <- b
			<-other.Done()
			require.ErrorIs(t, other.Err(), chanio.ErrBatchGone)
		},
		"released and sent": func(t *testing.T, s, other *chanio.Session) {
			b := batchOf("a", "b")
			b.Release()
			require.ErrorIs(t, s.PutBatch(b), chanio.ErrBatchGone)
			require.NoError(t, s.PutBatch(batchOf("a", "b")))
			other.SendBatch() <- b
			<-other.Done()
			require.ErrorIs(t, other.Err(), chanio.ErrBatchGone)
		},
		"released and appended to after it was sent": func(t *testing.T, s, other *chanio.Session) {
			b := batchOf("a", "b")
			require.NoError(t, s.PutBatch(b))
			require.NoError(t, s.Flush(ctx))
			b.Release()
			b.Append([]byte("c"))
			require.Zero(t, b.Len())
			require.NoError(t, other.PutBatch(batchOf("others")))
		},
		"forgotten": func(t *testing.T, s, other *chanio.Session) {
			_ = batchOf("never", "sent")
			require.NoError(t, s.PutBatch(batchOf("a", "b")))
		},
		"nil": func(t *testing.T, s, other *chanio.Session) {
			require.Error(t, s.PutBatch(nil))
			require.NoError(t, s.PutBatch(batchOf("a", "b")))
			other.SendBatch() <- nil
			<-other.Done()
			require.Error(t, other.Err())
		},
		"a message that cannot be framed": func(t *testing.T, s, other *chanio.Session) {
			bad := batchOf("a", "b\nc")
			require.ErrorContains(t, s.PutBatch(bad), "newline")
			require.Equal(t, []string{"a", "b\nc"}, messagesOf(bad), "it is still the caller's")
			bad.Release()
			require.NoError(t, s.PutBatch(batchOf("a", "b")))
			other.SendBatch() <- batchOf("b\nc")
			<-other.Done()
			require.ErrorContains(t, other.Err(), "newline")
			require.EqualValues(t, 3, other.Stats().Undelivered)
		},
		"empty": func(t *testing.T, s, other *chanio.Session) {
			require.NoError(t, s.PutBatch(chanio.NewBatch()))
			require.NoError(t, s.PutBatch(new(chanio.Batch)))
			require.NoError(t, s.PutBatch(batchOf("a", "b")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, peer := memSession(t, &chanio.Options{Framing: chanio.Lines{}})
				other, _ := memSession(t, &chanio.Options{Framing: chanio.Lines{}})
				got := make(chan string)
				go func() { p, _ := io.ReadAll(peer); got <- string(p) }()
				test(t, s, other)
				require.NoError(t, s.CloseWrite())
				require.Equal(t, "a\nb\n", <-got)
			})
		})
	}
}

func TestAReceivedBatchIsSentWithoutACopy(t *testing.T) {
	for _, framing := range []chanio.Framing{nil, chanio.Lines{}, chanio.Delimiter{}, chanio.LengthPrefix{}} {
		synctest.Test(t, func(t *testing.T) {
			o := &chanio.Options{Framing: framing}
			s, peer := memSession(t, o)
			var wire []byte
			for _, m := range lines(100) {
				if framing == nil {
					wire = append(wire, m...)
				} else {
					wire, _ = framing.AppendFrame(wire, []byte(m))
				}
			}
			peer.Write(wire)
			b := <-s.RecvBatch()
			memory := b.Memory()
			out, ok := b.Wire(s.SessionCodec())
			require.True(t, ok)
			require.Same(t, memory, &out[0])
			require.Equal(t, string(wire), string(out))
			require.NoError(t, s.PutBatch(b))
			got := make([]byte, len(wire))
			_, err := io.ReadFull(peer, got)
			require.NoError(t, err)
			require.Equal(t, string(wire), string(got))
			s.Close()
		})
	}
}

func TestBatchesSentAfterCloseWriteAreReceivedAndCounted(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		send := s.SendBatch()
		require.NoError(t, s.CloseWrite())
		_, err := peer.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		for range 300 {
			b := chanio.NewBatch()
			b.Append([]byte("xy"))
			select {
			case send <- b:
			case <-s.Done():
				require.Fail(t, "the other direction lives on")
			}
		}
		synctest.Wait()
		require.NoError(t, s.Err())
		require.EqualValues(t, 600, s.Stats().Undelivered)
	})
}

// aloneFraming returns its frame alone, not appended to what it was given.
type aloneFraming struct{ chanio.Lines }

func (f aloneFraming) AppendFrame(_, m []byte) ([]byte, error) { return f.Lines.AppendFrame(nil, m) }

func TestABatchIsWholeUnderAFramingThatReturnsItsFrameAlone(t *testing.T) {
	s, peer := memSession(t, &chanio.Options{Framing: aloneFraming{}})
	require.NoError(t, s.PutBatch(batchOf("a long message", "b", strings.Repeat("c", 100), "d")))
	go s.CloseWrite()
	got, err := io.ReadAll(peer)
	require.NoError(t, err)
	require.Equal(t, "a long message\nb\n"+strings.Repeat("c", 100)+"\nd\n", string(got))
}
