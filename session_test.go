package chanio

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patience is how long tests over real sockets wait for what must happen, before
// they fail instead of hanging.
const patience = 30 * time.Second

// await receives from c. ok is false if c is closed.
func await[T any](t testing.TB, c <-chan T, what string) (v T, ok bool) {
	t.Helper()
	select {
	case v, ok = <-c:
		return v, ok
	case <-time.After(patience):
		require.FailNow(t, "waited too long for "+what)
		return v, false
	}
}

// awaitDone waits for the end of a session, listener or client.
func awaitDone(t testing.TB, x interface{ Done() <-chan struct{} }) {
	t.Helper()
	await(t, x.Done(), "Done")
}

// isClosed reports whether c is closed, now.
func isClosed[T any](c <-chan T) bool {
	select {
	case _, ok := <-c:
		return !ok
	default:
		return false
	}
}

// noise returns n random bytes, the same each time.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// echo is the handler that every user writes first.
func echo(s *Session) {
	defer s.Close()
	for m := range s.Recv() {
		select {
		case s.Send() <- m:
		case <-s.Done():
		}
	}
}

// memSession returns a session over memory and its peer's end, both of which
// are gone when the test is over.
func memSession(t *testing.T, o *Options) (*Session, *memConn) {
	a, peer := memPair()
	s := NewSession(context.Background(), a, o)
	t.Cleanup(func() {
		s.Abort(nil)
		peer.Close()
		<-s.Done()
	})
	return s, peer
}

// eachPair runs f for every kind of connection and every length of queues, with
// a session at one end and the bare connection at the other.
func eachPair(t *testing.T, f func(t *testing.T, s *Session, peer net.Conn)) {
	for _, p := range pairs {
		for _, q := range queues {
			t.Run(p.name+"/"+q.name, func(t *testing.T) {
				a, peer := p.make(t)
				require.NoError(t, peer.SetDeadline(time.Now().Add(patience)))
				s := NewSession(context.Background(), a, &q.o)
				defer func() {
					s.Abort(nil)
					peer.Close()
					awaitDone(t, s)
				}()
				f(t, s, peer)
			})
		}
	}
}

// eachQueue runs f in a synctest bubble for every length of queues.
func eachQueue(t *testing.T, f func(t *testing.T, o Options)) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, q.o) })
		})
	}
}

func TestNewSessionOfBadInputHasEndedWithThatErr(t *testing.T) {
	for _, test := range []struct {
		name string
		conn func() net.Conn
		o    *Options
		want string
	}{
		{"nil conn", func() net.Conn { return nil }, nil, "nil net.Conn"},
		{"nil conn and bad options", func() net.Conn { return nil }, &Options{MaxMessage: -1}, "nil net.Conn"},
		{"bad options", func() net.Conn { a, _ := net.Pipe(); return a }, &Options{MaxMessage: -1}, "MaxMessage"},
		{"bad option with a socket", func() net.Conn { return new(net.TCPConn) }, &Options{ReadBuffer: -1}, "ReadBuffer"},
		{"a conn that is nothing", func() net.Conn { return new(net.TCPConn) }, nil, "invalid argument"},
		{"a conn that was closed", func() net.Conn { a, _ := net.Pipe(); a.Close(); return a }, nil, "closed pipe"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := NewSession(t.Context(), test.conn(), test.o)
			awaitDone(t, s)
			require.ErrorContains(t, s.Err(), test.want)
			require.ErrorContains(t, s.Err(), "chanio: ")
			require.Equal(t, s.Err(), context.Cause(s.Context()))
			_, ok := await(t, s.Recv(), "Recv")
			require.False(t, ok, "Recv is closed")
			require.ErrorIs(t, s.Put([]byte("x")), ErrClosed)
			require.NotNil(t, s.Send())
			require.NoError(t, s.Flush(t.Context()))
			require.NoError(t, s.Close())
			require.Equal(t, Stats{Accepted: 1}, s.Stats())
			s.LocalAddr()
			s.RemoteAddr()
			s.TLS()
			s.Abort(errors.New("too late"))
			require.ErrorContains(t, s.Err(), test.want, "the first cause wins")
		})
	}
}

func TestNewSessionClosesAConnThatItRefuses(t *testing.T) {
	a, peer := net.Pipe()
	NewSession(t.Context(), a, &Options{MaxMessage: -1})
	_, err := peer.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestSessionUnderAContextThatHasEndedEndsOnce(t *testing.T) {
	cause := errors.New("it was over before")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	for range 2000 { // the end and the start race
		a, peer := net.Pipe()
		s := NewSession(ctx, a, nil)
		awaitDone(t, s)
		require.Equal(t, cause, s.Err())
		peer.Close()
	}
}

func TestIDsAreUniqueAndReadWell(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[ID]bool)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				s := NewSession(context.Background(), nil, nil)
				mu.Lock()
				assert.False(t, seen[s.ID()])
				seen[s.ID()] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, "s42", ID(42).String())
}

func TestRecvDeliversAllThatArrivesAndIsClosedBehindIt(t *testing.T) {
	eachPair(t, func(t *testing.T, s *Session, peer net.Conn) {
		want := noise(1 << 20)
		go func() {
			for rest := want; len(rest) > 0; {
				n := min(len(rest), 1+rand.IntN(100_000))
				peer.Write(rest[:n])
				rest = rest[n:]
			}
			if half, ok := peer.(halfCloser); ok {
				half.CloseWrite()
			} else {
				peer.Close()
			}
		}()
		var got [][]byte
		for m := range s.Recv() {
			require.NotEmpty(t, m)
			require.Equal(t, len(m), cap(m), "the receiver owns exactly the message")
			got = append(got, m)
		}
		require.True(t, bytes.Equal(want, bytes.Join(got, nil)), "messages stay as they were received")
		require.NoError(t, s.Err())
	})
}

func TestRecvMessagesAreTheReceiversForGood(t *testing.T) {
	eachPair(t, func(t *testing.T, s *Session, peer net.Conn) {
		go func() {
			for i := range 200 {
				peer.Write(bytes.Repeat([]byte{byte(i)}, 1+i*i))
			}
			peer.Close()
		}()
		for m := range s.Recv() {
			for _, b := range m[1:] {
				if b < m[0] {
					require.FailNow(t, "somebody wrote into a received message")
				}
			}
			clear(m) // must not be seen by what comes later
			_ = append(m, 1, 2, 3)
		}
	})
}

func TestWhoDoesNotReceiveStopsThePeer(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, peer := memSession(t, &o)
		written := make(chan int)
		go func() {
			n := 0
			for range 1000 {
				peer.SetWriteDeadline(time.Now().Add(time.Hour))
				if _, err := peer.Write([]byte("x")); err != nil {
					break
				}
				n++
			}
			written <- n
		}()
		n := <-written // an hour later
		require.LessOrEqual(t, n, cap(s.recv)+1)
		for range n {
			<-s.Recv() // all of it is still there
		}
		peer.SetWriteDeadline(time.Time{})
		go peer.Write([]byte("more"))
		require.Equal(t, "more", string(<-s.Recv()))
	})
}

func TestPutWriteAndSendKeepTheirOrder(t *testing.T) {
	eachPair(t, func(t *testing.T, s *Session, peer net.Conn) {
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
	eachPair(t, func(t *testing.T, s *Session, peer net.Conn) {
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
	for _, p := range pairs {
		for range 4 {
			a, peer := p.make(t)
			s := NewSession(t.Context(), a, nil)
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
	eachQueue(t, func(t *testing.T, o Options) {
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
	eachQueue(t, func(t *testing.T, o Options) {
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

func TestFlushWaitsUntilTheKernelHasAllThatWasAcceptedBefore(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, peer := memSession(t, &o)
		require.NoError(t, s.Flush(t.Context()), "nothing was sent")
		s.Send()
		synctest.Wait() // the writer waits for work
		require.NoError(t, s.Put([]byte("one")))
		flushed := make(chan error)
		for range 3 {
			go func() { flushed <- s.Flush(context.Background()) }()
		}
		synctest.Wait()
		select {
		case <-flushed:
			require.FailNow(t, "nobody has read yet")
		default:
		}
		require.Zero(t, s.Stats().BytesSent)
		_, err := io.ReadFull(peer, make([]byte, 3))
		require.NoError(t, err)
		for range 3 {
			require.NoError(t, <-flushed)
		}
		require.EqualValues(t, 3, s.Stats().BytesSent)
	})
}

func TestFlushIsNotHeldUpByWhatIsSentLater(t *testing.T) {
	eachPair(t, func(t *testing.T, s *Session, peer net.Conn) {
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for s.Put(make([]byte, 1000)) == nil && !isClosed(stop) {
				}
			})
		}
		wg.Go(func() { io.Copy(io.Discard, peer) })
		for range 100 {
			require.NoError(t, s.Flush(t.Context()))
		}
		close(stop)
		s.Abort(nil)
		wg.Wait()
	})
}

func TestFlushMeansThatBytesSentIsExact(t *testing.T) {
	eachPair(t, func(t *testing.T, s *Session, peer net.Conn) {
		go io.Copy(io.Discard, peer)
		sent := 0
		for i := range 200 {
			for range i % 4 {
				require.NoError(t, s.Put(make([]byte, i*i)))
				sent += i * i
			}
			require.NoError(t, s.Flush(t.Context()))
			require.EqualValues(t, sent, s.Stats().BytesSent)
			require.Zero(t, s.Stats().BytesPending)
		}
	})
}

func TestFlushReturnsTheErrorOfItsContext(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		o.WriteTimeout = -1
		s, peer := memSession(t, &o)
		require.NoError(t, s.Put([]byte("x")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, s.Flush(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))
		require.Empty(t, s.flushes, "nothing is kept for who gave up")

		go io.Copy(io.Discard, peer)
		require.NoError(t, s.Flush(t.Context()), "the session goes on")
	})
}

func TestFlushSaysThatTheSessionEndedWithSomethingUndelivered(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, _ := memSession(t, &o)
		require.NoError(t, s.Put([]byte("x")))
		flushed := make(chan error)
		go func() { flushed <- s.Flush(context.Background()) }()
		synctest.Wait()
		s.Abort(nil)
		require.ErrorIs(t, <-flushed, ErrClosed)
		require.ErrorIs(t, s.Flush(t.Context()), ErrClosed)
	})
}

// failures are the ways in which a session ends; err is what Err is then, nil
// for a clean end. What was sent before is read by nobody.
var failures = []struct {
	name string
	o    Options
	end  func(s *Session, peer *memConn, cancel context.CancelCauseFunc)
	err  error
}{
	{"Close", Options{}, func(s *Session, _ *memConn, _ context.CancelCauseFunc) { go s.Close() }, nil},
	{"CloseWrite and the peer's end", Options{}, func(s *Session, peer *memConn, _ context.CancelCauseFunc) {
		s.CloseWrite()
		peer.CloseWrite()
	}, nil},
	{"closing Send and the peer's end", Options{}, func(s *Session, peer *memConn, _ context.CancelCauseFunc) {
		close(s.Send())
		peer.CloseWrite()
	}, nil},
	{"the peer's end and HalfCloseTimeout", Options{}, func(_ *Session, peer *memConn, _ context.CancelCauseFunc) {
		peer.CloseWrite()
	}, os.ErrDeadlineExceeded},
	{"Abort(nil)", Options{}, func(s *Session, _ *memConn, _ context.CancelCauseFunc) { s.Abort(nil) }, ErrClosed},
	{"Abort", Options{}, func(s *Session, _ *memConn, _ context.CancelCauseFunc) { s.Abort(errTest) }, errTest},
	{"the context", Options{}, func(_ *Session, _ *memConn, cancel context.CancelCauseFunc) { cancel(errTest) }, errTest},
	{"IdleTimeout", Options{IdleTimeout: time.Second}, func(*Session, *memConn, context.CancelCauseFunc) {}, os.ErrDeadlineExceeded},
	{"a failed read", Options{}, func(s *Session, _ *memConn, _ context.CancelCauseFunc) {
		s.tr.(*stream).conn.(*memConn).Conn.Close()
	}, io.ErrClosedPipe},
}

var errTest = errors.New("a cause of the test")

func TestAfterEachKindOfEndEveryCallAnswers(t *testing.T) {
	for _, end := range failures {
		for _, q := range queues {
			t.Run(end.name+"/"+q.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancelCause(context.Background())
					defer cancel(nil)
					o := end.o
					o.RecvQueue, o.SendQueue = q.o.RecvQueue, q.o.SendQueue
					a, peer := memPair()
					defer peer.Close()
					s := NewSession(ctx, a, &o)
					before := s.Context()
					require.NoError(t, before.Err())
					require.EqualValues(t, 1, s.Stats().Sessions)
					go io.Copy(io.Discard, peer)

					end.end(s, peer, cancel)
					<-s.Done()
					if end.err == nil {
						require.NoError(t, s.Err())
						require.Equal(t, context.Canceled, context.Cause(before))
					} else {
						require.ErrorIs(t, s.Err(), end.err)
						require.Equal(t, s.Err(), context.Cause(before), "the cause is Err")
						require.Equal(t, s.Err(), context.Cause(s.Context()))
					}
					require.ErrorIs(t, s.Context().Err(), context.Canceled)
					_, ok := <-s.Recv()
					require.False(t, ok, "Recv is closed")
					requireAllCallsAnswer(t, s)
					require.Equal(t, Stats{Accepted: 1}, s.Stats())
				})
			})
		}
	}
}

// requireAllCallsAnswer makes every call on s, which has ended with nothing
// undelivered.
func requireAllCallsAnswer(t *testing.T, s *Session) {
	t.Helper()
	err := s.Err()
	for range 2 {
		require.ErrorIs(t, s.Put([]byte("x")), ErrClosed)
		require.ErrorIs(t, s.Put([]byte("x")), net.ErrClosed)
		n, werr := s.Write([]byte("x"))
		require.Zero(t, n)
		require.ErrorIs(t, werr, ErrClosed, "whatever the cause was")
		require.NoError(t, s.Flush(t.Context()))
		if s.Err() == nil {
			require.NoError(t, s.CloseWrite())
		} else {
			require.ErrorIs(t, s.CloseWrite(), ErrClosed)
		}
		require.NoError(t, s.Close())
		s.Abort(errors.New("too late"))
		require.Equal(t, err, s.Err(), "the first cause wins")
	}
}

func TestPutThatWaitsForRoomIsReleasedByEachKindOfEnd(t *testing.T) {
	for _, end := range failures {
		if end.name == "closing Send and the peer's end" {
			continue // a user who closes what another one sends on has a data race
		}
		for _, q := range queues {
			t.Run(end.name+"/"+q.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancelCause(context.Background())
					defer cancel(nil)
					o := end.o
					o.RecvQueue, o.SendQueue = q.o.RecvQueue, q.o.SendQueue
					a, peer := memPair()
					defer peer.Close()
					s := NewSession(ctx, a, &o)
					accepted := fill(t, s)
					result := make(chan error)
					go func() { result <- s.Put([]byte("refused")) }()
					synctest.Wait()
					end.end(s, peer, cancel)
					require.ErrorIs(t, <-result, ErrClosed)
					<-s.Done()
					requireAllIsCounted(t, s, accepted)
				})
			})
		}
	}
}

// fill puts messages into s, whose peer does not read, until it has no more
// room, and returns how many bytes were accepted. It is for synctest bubbles.
func fill(t *testing.T, s *Session) (accepted int64) {
	t.Helper()
	for {
		giveUp := make(chan struct{})
		result := make(chan error)
		m := make([]byte, 1000)
		go func() { result <- s.put(m, giveUp) }()
		synctest.Wait()
		select {
		case err := <-result:
			require.NoError(t, err)
			accepted += int64(len(m))
		default:
			close(giveUp)
			require.Equal(t, errGivenUp, <-result)
			return accepted
		}
	}
}

// requireAllIsCounted requires that each byte that was accepted is counted as
// sent or as undelivered, once the session is Done.
func requireAllIsCounted(t *testing.T, s *Session, accepted int64) {
	t.Helper()
	require.True(t, isClosed(s.Done()))
	st := s.Stats()
	require.Equal(t, accepted, st.BytesSent+st.Undelivered, "sent %d, undelivered %d", st.BytesSent, st.Undelivered)
	require.Zero(t, st.BytesPending)
}

func TestPutAfterTheUserClosedSendIsErrClosed(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, peer := memSession(t, &o)
		close(s.Send())
		require.ErrorIs(t, s.Put([]byte("x")), ErrClosed)
		_, err := s.Write([]byte("x"))
		require.ErrorIs(t, err, ErrClosed)
		_, err = peer.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.ErrorIs(t, s.Put([]byte("x")), ErrClosed, "after its end of stream too")
		require.NoError(t, s.Flush(t.Context()))
		require.NoError(t, s.CloseWrite())
		go peer.Write([]byte("still received"))
		require.Equal(t, "still received", string(<-s.Recv()))
		peer.CloseWrite()
		<-s.Done()
		require.NoError(t, s.Err())
		require.NoError(t, s.Close())
		require.ErrorIs(t, s.Put([]byte("x")), ErrClosed, "and after the session's")
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
				s := NewSession(ctx, a, &end.o)
				end.end(s, peer, cancel)
				<-s.Done()
				for range cap(s.Send()) + 1 {
					select {
					case s.Send() <- []byte("lost"):
					case <-s.Done():
					}
				}
				close(s.Send())
				require.ErrorIs(t, s.Put([]byte("x")), ErrClosed)
				require.NoError(t, s.Close())
			})
		})
	}
}

func TestBareSendersDoNotKeepASessionFromEnding(t *testing.T) {
	eachPair(t, func(t *testing.T, s *Session, peer net.Conn) {
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
	messages, bytes := drain(c, func(n int) int {
		c <- 1 // a sender that never stops
		return n
	})
	require.EqualValues(t, 2, messages)
	require.EqualValues(t, 30, bytes)
}

func TestWhatAPutAcceptsWhileTheOutputEndsStillGoesOut(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, peer := memSession(t, &o)
		require.True(t, s.puts.enter()) // a Put that is about to send
		require.NoError(t, s.CloseWrite())
		got := make(chan string)
		go func() {
			b, _ := io.ReadAll(peer)
			got <- string(b)
		}()
		synctest.Wait()
		s.send <- []byte("just in time")
		if s.puts.leave() {
			s.putsGone()
		}
		require.Equal(t, "just in time", <-got)
		require.Zero(t, s.Stats().Undelivered)
	})
}

func TestEveryAcceptedByteIsSentOrCountedAsUndelivered(t *testing.T) {
	ways := []struct {
		name string
		end  func(s *Session, peer net.Conn)
	}{
		{"Close", func(s *Session, _ net.Conn) { s.Close() }},
		{"Abort", func(s *Session, _ net.Conn) { s.Abort(nil) }},
		{"CloseWrite, then Abort", func(s *Session, _ net.Conn) { s.CloseWrite(); s.Abort(nil) }},
		{"CloseWrite, then the peer's end", func(s *Session, peer net.Conn) { s.CloseWrite(); peer.Close() }},
		{"the peer's end", func(_ *Session, peer net.Conn) { peer.Close() }},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			eachPair(t, func(t *testing.T, s *Session, peer net.Conn) {
				var wg sync.WaitGroup
				var mu sync.Mutex
				var accepted int64
				for range 4 {
					wg.Go(func() {
						for i := 0; ; i++ {
							m := make([]byte, (i*7919)%20_000)
							if err := s.Put(m); err != nil {
								assert.ErrorIs(t, err, ErrClosed)
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

func TestStatsCountBothDirectionsExactly(t *testing.T) {
	eachPair(t, func(t *testing.T, s *Session, peer net.Conn) {
		go func() {
			for range 50 {
				peer.Write(make([]byte, 3000))
			}
			io.Copy(io.Discard, peer)
			peer.Close()
		}()
		received, messages := 0, 0
		for received < 150_000 {
			m, ok := await(t, s.Recv(), "a message")
			require.True(t, ok)
			received += len(m)
			messages++
		}
		for range 70 {
			require.NoError(t, s.Put(make([]byte, 2000)))
		}
		require.NoError(t, s.Close())
		require.Equal(t, Stats{
			Accepted:         1,
			BytesReceived:    150_000,
			MessagesReceived: int64(messages),
			BytesSent:        140_000,
			MessagesSent:     70,
		}, s.Stats())
	})
}

func TestContextCarriesTheValuesOfItsParentAndNotItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		parent, cancel := context.WithTimeout(context.WithValue(context.Background(), key{}, 1), time.Hour)
		defer cancel()
		a, peer := memPair()
		defer peer.Close()
		s := NewSession(parent, a, nil)
		ctx := s.Context()
		require.Equal(t, 1, ctx.Value(key{}))
		require.Same(t, ctx, s.Context())
		s.Abort(errTest)
		require.Equal(t, errTest, context.Cause(ctx), "at once")
		<-s.Done()
	})
}

func TestTheEndOfASessionLeavesNothingWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := &watchedContext{Context: t.Context()}
		a, peer := memPair()
		s := NewSession(ctx, a, nil)
		require.EqualValues(t, 1, ctx.watching())
		s.Abort(nil)
		<-s.Done()
		require.Zero(t, ctx.watching())
		peer.Close()
	})
}

// watchedContext counts the functions that wait for its end.
type watchedContext struct {
	context.Context
	mu sync.Mutex
	n  int
}

func (c *watchedContext) AfterFunc(func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.n--
		return true
	}
}

// Done makes the context one that can end.
func (c *watchedContext) Done() <-chan struct{} { return make(chan struct{}) }

func (c *watchedContext) watching() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func TestAddressesAreUnmapped(t *testing.T) {
	for _, test := range []struct {
		name string
		in   net.Addr
		want string
	}{
		{"mapped", &net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 80}, "192.0.2.1:80"},
		{"v4", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1).To4(), Port: 80}, "192.0.2.1:80"},
		{"v6", &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 80}, "[2001:db8::1]:80"},
		{"v6 with a zone", &net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 80, Zone: "lo"}, "[fe80::1%lo]:80"},
		{"unix", &net.UnixAddr{Name: "/x", Net: "unix"}, "/x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := unmapAddr(test.in)
			require.Equal(t, test.want, got.String())
			if tcp, ok := got.(*net.TCPAddr); ok && test.name != "v6" && test.name != "v6 with a zone" {
				require.Len(t, tcp.IP, net.IPv4len)
			}
		})
	}
	require.Nil(t, unmapAddr(nil))
}

func TestAddressesOfASessionAreThoseOfItsConn(t *testing.T) {
	eachPair(t, func(t *testing.T, s *Session, peer net.Conn) {
		require.Equal(t, peer.RemoteAddr().String(), s.LocalAddr().String())
		require.Equal(t, peer.LocalAddr().String(), s.RemoteAddr().String())
		_, ok := s.TLS()
		require.False(t, ok)
	})
}

func TestTheWriterExistsFromItsFirstUseOn(t *testing.T) {
	for _, test := range []struct {
		name string
		use  func(s *Session)
	}{
		{"Put", func(s *Session) { go s.Put([]byte("x")) }},
		{"Write", func(s *Session) { go s.Write([]byte("x")) }},
		{"Send", func(s *Session) { s.Send() }},
		{"CloseWrite", func(s *Session) { s.CloseWrite() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := memSession(t, nil)
				s.Recv()
				s.Stats()
				s.Context()
				require.NoError(t, s.Flush(t.Context()))
				synctest.Wait()
				require.False(t, s.life().hasWriter())
				test.use(s)
				synctest.Wait()
				require.True(t, s.life().hasWriter())
			})
		})
	}
}

func TestAPeerThatFailsItsWritesEndsTheSessionWithThatError(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, peer := memSession(t, &o)
		peer.Conn.Close() // it reads no more, and does not end its stream
		s.Put([]byte("x"))
		<-s.Done()
		require.ErrorIs(t, s.Err(), io.ErrClosedPipe)
		require.EqualValues(t, 1, s.Stats().Undelivered)
		var op *net.OpError
		require.ErrorAs(t, s.Err(), &op)
		require.Equal(t, "write", op.Op)
	})
}

func TestWritesAreGatheredWhileThePeerIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, peer := memSession(t, &Options{SendQueue: 64})
		for range 60 {
			require.NoError(t, s.Put([]byte("x")))
		}
		synctest.Wait() // the writer holds the first one, the queue the rest
		sizes := []int{}
		buf := make([]byte, 1000)
		for sum := 0; sum < 60; {
			n, err := peer.Read(buf)
			require.NoError(t, err)
			sizes = append(sizes, n)
			sum += n
		}
		require.LessOrEqual(t, len(sizes), 2, "what is queued goes out in one write: %v", sizes)
	})
}
