package chanio_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestNewSessionOfBadInputHasEndedWithThatErr(t *testing.T) {
	for _, test := range []struct {
		name string
		conn func() net.Conn
		o    *chanio.Options
		want string
	}{
		{"nil conn", func() net.Conn { return nil }, nil, "nil net.Conn"},
		{"nil conn and bad options", func() net.Conn { return nil }, &chanio.Options{MaxMessage: -1}, "nil net.Conn"},
		{"bad options", func() net.Conn { a, _ := net.Pipe(); return a }, &chanio.Options{MaxMessage: -1}, "MaxMessage"},
		{"bad option with a socket", func() net.Conn { return new(net.TCPConn) }, &chanio.Options{ReadBuffer: -1}, "ReadBuffer"},
		{"a conn that is nothing", func() net.Conn { return new(net.TCPConn) }, nil, "invalid argument"},
		{"a conn that was closed", func() net.Conn { a, _ := net.Pipe(); a.Close(); return a }, nil, "closed pipe"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := chanio.NewSession(t.Context(), test.conn(), test.o)
			awaitDone(t, s)
			require.ErrorContains(t, s.Err(), test.want)
			require.ErrorContains(t, s.Err(), "chanio: ")
			require.Equal(t, s.Err(), context.Cause(s.Context()))
			_, ok := await(t, s.Recv(), "Recv")
			require.False(t, ok, "Recv is closed")
			require.ErrorIs(t, s.Put([]byte("x")), chanio.ErrClosed)
			require.NotNil(t, s.Send())
			require.NoError(t, s.Flush(t.Context()))
			require.NoError(t, s.Close())
			require.Equal(t, chanio.Stats{Accepted: 1}, s.Stats())
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
	chanio.NewSession(t.Context(), a, &chanio.Options{MaxMessage: -1})
	_, err := peer.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestSessionUnderAContextThatHasEndedEndsOnce(t *testing.T) {
	cause := errors.New("it was over before")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	for range 2000 { // the end and the start race
		a, peer := net.Pipe()
		s := chanio.NewSession(ctx, a, nil)
		awaitDone(t, s)
		require.Equal(t, cause, s.Err())
		peer.Close()
	}
}

func TestIDsAreUniqueAndReadWell(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[chanio.ID]bool)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				s := chanio.NewSession(context.Background(), nil, nil)
				mu.Lock()
				assert.False(t, seen[s.ID()])
				seen[s.ID()] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, "s42", chanio.ID(42).String())
}

func TestRecvDeliversEverythingAndIsThenClosed(t *testing.T) {
	eachPair(t, func(t *testing.T, s *chanio.Session, peer net.Conn) {
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

func TestRecvMessagesStayTheReceivers(t *testing.T) {
	eachPair(t, func(t *testing.T, s *chanio.Session, peer net.Conn) {
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
			clear(m) // what comes later must not be seen here
			_ = append(m, 1, 2, 3)
		}
	})
}

func TestUnreceivedMessagesStopThePeer(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
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
		_, room := s.Queued()
		require.LessOrEqual(t, n, room+1)
		for range n {
			<-s.Recv() // all of it is still there
		}
		peer.SetWriteDeadline(time.Time{})
		go peer.Write([]byte("more"))
		require.Equal(t, "more", string(<-s.Recv()))
	})
}

func TestStatsCountBothDirectionsExactly(t *testing.T) {
	eachPair(t, func(t *testing.T, s *chanio.Session, peer net.Conn) {
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
		require.Equal(t, chanio.Stats{
			Accepted:         1,
			BytesReceived:    150_000,
			MessagesReceived: int64(messages),
			BytesSent:        140_000,
			MessagesSent:     70,
		}, s.Stats())
	})
}

func TestContextHasItsParentsValuesAndNotItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		parent, cancel := context.WithTimeout(context.WithValue(context.Background(), key{}, 1), time.Hour)
		defer cancel()
		a, peer := memPair()
		defer peer.Close()
		s := chanio.NewSession(parent, a, nil)
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
		s := chanio.NewSession(ctx, a, nil)
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
			got := chanio.UnmapAddr(test.in)
			require.Equal(t, test.want, got.String())
			if tcp, ok := got.(*net.TCPAddr); ok && test.name != "v6" && test.name != "v6 with a zone" {
				require.Len(t, tcp.IP, net.IPv4len)
			}
		})
	}
	require.Nil(t, chanio.UnmapAddr(nil))
}

func TestAddressesOfASessionAreThoseOfItsConn(t *testing.T) {
	eachPair(t, func(t *testing.T, s *chanio.Session, peer net.Conn) {
		require.Equal(t, peer.RemoteAddr().String(), s.LocalAddr().String())
		require.Equal(t, peer.LocalAddr().String(), s.RemoteAddr().String())
		_, ok := s.TLS()
		require.False(t, ok)
	})
}

func TestTheWriterExistsFromItsFirstUseOn(t *testing.T) {
	for _, test := range []struct {
		name string
		use  func(s *chanio.Session)
	}{
		{"Put", func(s *chanio.Session) { go s.Put([]byte("x")) }},
		{"Write", func(s *chanio.Session) { go s.Write([]byte("x")) }},
		{"Send", func(s *chanio.Session) { s.Send() }},
		{"CloseWrite", func(s *chanio.Session) { s.CloseWrite() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := memSession(t, nil)
				s.Recv()
				s.Stats()
				s.Context()
				require.NoError(t, s.Flush(t.Context()))
				synctest.Wait()
				require.False(t, s.HasWriter())
				test.use(s)
				synctest.Wait()
				require.True(t, s.HasWriter())
			})
		})
	}
}

func TestAPeerThatFailsItsWritesEndsTheSessionWithThatError(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		a, peer := memPair()
		defer peer.Close()
		s := chanio.NewSession(t.Context(), brokenOutput{a}, &o)
		s.Put([]byte("x"))
		<-s.Done()
		require.ErrorIs(t, s.Err(), errUnwritable)
		require.EqualValues(t, 1, s.Stats().Undelivered)
		var op *net.OpError
		require.ErrorAs(t, s.Err(), &op)
		require.Equal(t, "write", op.Op)
	})
}

func TestWritesAreGatheredWhileThePeerIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, peer := memSession(t, &chanio.Options{SendQueue: 64})
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
