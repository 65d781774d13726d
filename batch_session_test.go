package chanio

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestTheFirstToAskGetsTheMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, peer := memSession(t, &Options{Framing: Lines{}})
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

func TestASessionThatNobodyAskedForMessagesHoldsOneBatchAndSeesThePeersEnd(t *testing.T) {
	for _, framing := range []Framing{nil, LengthPrefix{}} {
		synctest.Test(t, func(t *testing.T) {
			a, b := net.Pipe()
			s := NewSession(t.Context(), b, &Options{Framing: framing})
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
			require.LessOrEqual(t, wrote, blockSize)
			s.Abort(nil)
			<-s.Done()
			a.Close()

			s, peer := memSession(t, &Options{Framing: framing})
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

func TestWhatARightOwnerMayDoAndWhatAWrongOneGets(t *testing.T) {
	ctx := context.Background()
	for name, test := range map[string]func(t *testing.T, s, other *Session){
		"sent to two": func(t *testing.T, s, other *Session) {
			b := batchOf("a", "b")
			require.NoError(t, s.PutBatch(b))
			require.ErrorIs(t, other.PutBatch(b), errBatchGone)
			require.NoError(t, s.Flush(ctx))
			require.ErrorIs(t, s.PutBatch(b), errBatchGone)
			other.SendBatch() <- b
			<-other.Done()
			require.ErrorIs(t, other.Err(), errBatchGone)
		},
		"released and sent": func(t *testing.T, s, other *Session) {
			b := batchOf("a", "b")
			b.Release()
			require.ErrorIs(t, s.PutBatch(b), errBatchGone)
			require.NoError(t, s.PutBatch(batchOf("a", "b")))
			other.SendBatch() <- b
			<-other.Done()
			require.ErrorIs(t, other.Err(), errBatchGone)
		},
		"released and appended to after it was sent": func(t *testing.T, s, other *Session) {
			b := batchOf("a", "b")
			require.NoError(t, s.PutBatch(b))
			require.NoError(t, s.Flush(ctx))
			b.Release()
			b.Append([]byte("c"))
			require.Zero(t, b.Len())
			require.NoError(t, other.PutBatch(batchOf("others")))
		},
		"forgotten": func(t *testing.T, s, other *Session) {
			_ = batchOf("never", "sent")
			require.NoError(t, s.PutBatch(batchOf("a", "b")))
		},
		"nil": func(t *testing.T, s, other *Session) {
			require.Error(t, s.PutBatch(nil))
			require.NoError(t, s.PutBatch(batchOf("a", "b")))
			other.SendBatch() <- nil
			<-other.Done()
			require.Error(t, other.Err())
		},
		"a message that cannot be framed": func(t *testing.T, s, other *Session) {
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
		"empty": func(t *testing.T, s, other *Session) {
			require.NoError(t, s.PutBatch(NewBatch()))
			require.NoError(t, s.PutBatch(new(Batch)))
			require.NoError(t, s.PutBatch(batchOf("a", "b")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, peer := memSession(t, &Options{Framing: Lines{}})
				other, _ := memSession(t, &Options{Framing: Lines{}})
				got := make(chan string)
				go func() { p, _ := io.ReadAll(peer); got <- string(p) }()
				test(t, s, other)
				require.NoError(t, s.CloseWrite())
				require.Equal(t, "a\nb\n", <-got)
			})
		})
	}
}

func TestABatchThatCameGoesOutWithoutACopy(t *testing.T) {
	for _, framing := range []Framing{nil, Lines{}, Delimiter{}, LengthPrefix{}} {
		synctest.Test(t, func(t *testing.T) {
			o := &Options{Framing: framing}
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
			memory := &b.buf.B[0]
			out, ok := b.wire(s.set.codec)
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
