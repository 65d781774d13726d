package chanio_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestPutWriteAndSendKeepTheirOrder(t *testing.T) {
	eachPair(t, func(t *testing.T, s *chanio.Session, peer net.Conn) {
		var want bytes.Buffer
		go func() {
			defer s.Close()
			for i := range 3000 {
				m := binary.BigEndian.AppendUint32(nil, uint32(i))
				switch i % 3 {
				case 0:
					s.Put(m)
				case 1:
					s.Write(m)
				case 2:
					s.Send() <- m
				}
			}
		}()
		for i := range 3000 {
			want.Write(binary.BigEndian.AppendUint32(nil, uint32(i)))
		}
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want.Bytes(), got))
	})
}

func TestMessagesOfManySendersStayWholeAndInTheirOrder(t *testing.T) {
	const senders, each = 8, 200
	eachPair(t, func(t *testing.T, s *chanio.Session, peer net.Conn) {
		var wg sync.WaitGroup
		for sender := range senders {
			wg.Go(func() {
				for i := range each {
					size := 1 + (i*977)%9000
					m := binary.BigEndian.AppendUint32([]byte{byte(sender)}, uint32(i))
					m = binary.BigEndian.AppendUint32(m, uint32(size))
					m = append(m, bytes.Repeat([]byte{byte(sender)}, size)...)
					if i%2 == 0 {
						assert.NoError(t, s.Put(m))
					} else {
						s.Send() <- m
					}
				}
			})
		}
		go func() {
			wg.Wait()
			s.Close()
		}()
		var next [senders]uint32
		head := make([]byte, 9)
		for range senders * each {
			_, err := io.ReadFull(peer, head)
			require.NoError(t, err)
			sender := head[0]
			require.Equal(t, next[sender], binary.BigEndian.Uint32(head[1:]))
			next[sender]++
			body := make([]byte, binary.BigEndian.Uint32(head[5:]))
			_, err = io.ReadFull(peer, body)
			require.NoError(t, err)
			require.Equal(t, len(body), bytes.Count(body, []byte{sender}))
		}
		_, err := peer.Read(head)
		require.ErrorIs(t, err, io.EOF)
	})
}

func TestOneSliceGoesToManySessions(t *testing.T) {
	m := noise(100_000)
	want := sha256.Sum256(m)
	var wg sync.WaitGroup
	for _, p := range pairsHere(t) {
		for range 4 {
			a, peer := p.make(t)
			s := chanio.NewSession(t.Context(), a, nil)
			wg.Go(func() {
				assert.NoError(t, s.Put(m))
				assert.NoError(t, s.Put(m[:10]))
				assert.NoError(t, s.Close())
			})
			wg.Go(func() {
				defer peer.Close()
				got, err := io.ReadAll(peer)
				assert.NoError(t, err)
				assert.Len(t, got, len(m)+10)
				assert.Equal(t, want, sha256.Sum256(got[:min(len(got), len(m))]))
			})
		}
	}
	wg.Wait()
	require.Equal(t, want, sha256.Sum256(m), "the library does not modify it either")
}

func TestWriteCopiesAndPutDoesNot(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		p := []byte("before")
		go func() {
			s.Write(p)
			copy(p, "after.")
			s.Flush(context.Background())
			s.Close()
		}()
		synctest.Wait()
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.Equal(t, "before", string(got))
	})
}

func TestEmptyMessagesAreNothingOnARawStream(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		go io.Copy(io.Discard, peer)
		for range 200 {
			require.NoError(t, s.Put(nil))
			n, err := s.Write([]byte{})
			require.NoError(t, err)
			require.Zero(t, n)
		}
		require.NoError(t, s.Put([]byte("x")))
		require.NoError(t, s.Flush(t.Context()))
		require.EqualValues(t, 1, s.Stats().BytesSent)
		require.EqualValues(t, 1, s.Stats().MessagesSent)
	})
}

func TestPutAfterTheUserClosedSendIsErrClosed(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		close(s.Send())
		require.ErrorIs(t, s.Put([]byte("x")), chanio.ErrClosed)
		_, err := s.Write([]byte("x"))
		require.ErrorIs(t, err, chanio.ErrClosed)
		_, err = peer.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.ErrorIs(t, s.Put([]byte("x")), chanio.ErrClosed, "after its end of stream too")
		require.NoError(t, s.Flush(t.Context()))
		require.NoError(t, s.CloseWrite())
		go peer.Write([]byte("still received"))
		require.Equal(t, "still received", string(<-s.Recv()))
		peer.CloseWrite()
		<-s.Done()
		require.NoError(t, s.Err())
		require.NoError(t, s.Close())
		require.ErrorIs(t, s.Put([]byte("x")), chanio.ErrClosed, "and after the session's")
	})
}

func TestSendMayBeUsedAndClosedAfterTheEnd(t *testing.T) {
	for _, end := range failures {
		if end.name == "closing Send and the peer's end" {
			continue
		}
		t.Run(end.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(context.Background())
				defer cancel(nil)
				a, peer := memPair()
				defer peer.Close()
				s := chanio.NewSession(ctx, a, &end.o)
				end.end(s, peer, cancel)
				<-s.Done()
				for range cap(s.Send()) + 1 {
					select {
					case s.Send() <- []byte("lost"):
					case <-s.Done():
					}
				}
				close(s.Send())
				require.ErrorIs(t, s.Put([]byte("x")), chanio.ErrClosed)
				require.NoError(t, s.Close())
			})
		})
	}
}

func TestBareSendersDoNotKeepASessionFromEnding(t *testing.T) {
	eachPair(t, func(t *testing.T, s *chanio.Session, peer net.Conn) {
		quit := make(chan struct{})
		var wg sync.WaitGroup
		for range 2 * runtime.GOMAXPROCS(0) {
			wg.Go(func() {
				for {
					select { // as bare as a test can end it
					case s.Send() <- []byte("x"):
					case <-quit:
						return
					}
				}
			})
		}
		_, err := io.ReadFull(peer, make([]byte, 1000))
		require.NoError(t, err)
		s.Abort(nil)
		awaitDone(t, s)
		close(quit)
		wg.Wait()
	})
}

func TestDrainTakesWhatIsThereAndNotWhatKeepsComing(t *testing.T) {
	c := make(chan int, 3)
	c <- 10
	c <- 20
	messages, bytes := chanio.Drain(c, func(n int) int {
		c <- 1 // a sender that never stops
		return n
	})
	require.EqualValues(t, 2, messages)
	require.EqualValues(t, 30, bytes)
}

func TestAPutAcceptedWhileTheOutputEndsIsSent(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		finish, ok := s.BeginPut()
		require.True(t, ok)
		require.NoError(t, s.CloseWrite())
		got := make(chan string)
		go func() {
			b, _ := io.ReadAll(peer)
			got <- string(b)
		}()
		synctest.Wait()
		finish([]byte("just in time"))
		require.Equal(t, "just in time", <-got)
		require.Zero(t, s.Stats().Undelivered)
	})
}

func TestEveryAcceptedByteIsSentOrCountedAsUndelivered(t *testing.T) {
	ways := []struct {
		name string
		end  func(s *chanio.Session, peer net.Conn)
	}{
		{"Close", func(s *chanio.Session, _ net.Conn) { s.Close() }},
		{"Abort", func(s *chanio.Session, _ net.Conn) { s.Abort(nil) }},
		{"CloseWrite, then Abort", func(s *chanio.Session, _ net.Conn) { s.CloseWrite(); s.Abort(nil) }},
		{"CloseWrite, then the peer's end", func(s *chanio.Session, peer net.Conn) { s.CloseWrite(); peer.Close() }},
		{"the peer's end", func(_ *chanio.Session, peer net.Conn) { peer.Close() }},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			eachPair(t, func(t *testing.T, s *chanio.Session, peer net.Conn) {
				var wg sync.WaitGroup
				var mu sync.Mutex
				var accepted int64
				for range 4 {
					wg.Go(func() {
						for i := 0; ; i++ {
							m := make([]byte, (i*7919)%20_000)
							if err := s.Put(m); err != nil {
								assert.ErrorIs(t, err, chanio.ErrClosed)
								return
							}
							mu.Lock()
							accepted += int64(len(m))
							mu.Unlock()
						}
					})
				}
				_, err := io.ReadFull(peer, make([]byte, 300_000))
				require.NoError(t, err)
				wg.Go(func() {
					io.Copy(io.Discard, peer)
					peer.Close()
				})
				way.end(s, peer)
				wg.Go(func() { <-s.Recv() })
				awaitDone(t, s)
				wg.Wait()
				requireAllIsCounted(t, s, accepted)
			})
		})
	}
}
