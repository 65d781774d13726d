package chanio_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"example.com/chanio"
)

// halfCloser is a connection that can end one direction.
type halfCloser interface{ CloseWrite() error }

// hiddenConn is a connection whose descriptor the library does not see, so it
// takes the portable path.
type hiddenConn struct {
	net.Conn
	halfCloser
}

func hide(conn net.Conn) net.Conn {
	if half, ok := conn.(halfCloser); ok {
		return hiddenConn{conn, half}
	}
	return conn
}

// anyAddress returns an address of network to listen on: tcp, unix or unixpacket.
func anyAddress(t testing.TB, network string) string {
	t.Helper()
	if network != "tcp" {
		return unixPath(t)
	}
	return "127.0.0.1:0"
}

// unixPath returns a path to listen on. It skips the test where there are no
// unix sockets.
func unixPath(t testing.TB) string {
	t.Helper()
	path, err := unixPathOr(t)
	if err != nil {
		t.Skipf("no unix sockets here: %v", err)
	}
	return path
}

// unixPathOr is unixPath, or an error where there are no unix sockets.
func unixPathOr(t testing.TB) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if errors.Is(err, errNoFamily) {
		return "", err
	}
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	return path, nil
}

// socketPair returns the two ends of a connection over real sockets.
func socketPair(t testing.TB, network string) (a, b net.Conn) {
	t.Helper()
	address := anyAddress(t, network)
	ln, err := net.Listen(network, address)
	require.NoError(t, err)
	defer ln.Close()
	a, err = net.Dial(network, ln.Addr().String())
	require.NoError(t, err)
	b, err = ln.Accept()
	require.NoError(t, err)
	return a, b
}

// A pair is a way in which two ends can be connected.
type pair struct {
	name string
	make func(t testing.TB) (a, b net.Conn)
}

var pairs = []pair{
	{"tcp", func(t testing.TB) (a, b net.Conn) { return socketPair(t, "tcp") }},
	{"unix", func(t testing.TB) (a, b net.Conn) { return socketPair(t, "unix") }},
	{"portable", func(t testing.TB) (a, b net.Conn) {
		a, b = socketPair(t, "tcp")
		return hide(a), hide(b)
	}},
	{"pipe", func(testing.TB) (a, b net.Conn) { return net.Pipe() }},
}

// pairsHere are the pairs that can be made on this system, for a test that makes
// them all: a skip in the middle would end it while its sessions run.
func pairsHere(t testing.TB) []pair {
	t.Helper()
	_, err := unixPathOr(t)
	return slices.DeleteFunc(slices.Clone(pairs), func(p pair) bool { return p.name == "unix" && err != nil })
}

// queues are the queue lengths that every promise must hold with.
var queues = []struct {
	name string
	o    chanio.Options
}{
	{"default queues", chanio.Options{}},
	{"queues of 0", chanio.Options{RecvQueue: -1, SendQueue: -1, EventQueue: -1}},
	{"queues of 1", chanio.Options{RecvQueue: 1, SendQueue: 1, EventQueue: 1}},
}

// testNetConn runs the tests of net.Conn over the NetConns of two sessions.
func testNetConn(t *testing.T, pair func() (s1, s2 *chanio.Session)) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		s1, s2 := pair()
		return s1.NetConn(), s2.NetConn(), func() {
			s1.Abort(nil)
			s2.Abort(nil)
			<-s1.Done()
			<-s2.Done()
		}, nil
	})
}

func TestNetConnIsANetConn(t *testing.T) {
	for _, p := range pairs {
		for _, q := range queues {
			t.Run(p.name+"/"+q.name, func(t *testing.T) {
				testNetConn(t, func() (s1, s2 *chanio.Session) {
					a, b := p.make(t)
					return chanio.NewSession(context.Background(), a, &q.o), chanio.NewSession(context.Background(), b, &q.o)
				})
			})
		}
	}
}

func TestNOfANetConnWriteThatTimedOutIsWhatWasAccepted(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.WriteTimeout = -1
		s, peer := memSession(t, &o)
		c := s.NetConn()
		want := noise(4 << 20)
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Minute)))
		start := time.Now()
		n, err := c.Write(want)
		require.Equal(t, time.Minute, since(start))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Positive(t, n)
		require.LessOrEqual(t, n, (cap(s.Send())+2)*chanio.NetWriteSize, "queues are bounded in bytes")
		_, err = c.Write([]byte("x"))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "until the deadline is moved")

		require.NoError(t, c.SetWriteDeadline(time.Time{}))
		go func() {
			c.Write([]byte("the rest"))
			c.Close()
		}()
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.Equal(t, append(slices.Clone(want[:n]), "the rest"...), got)
	})
}

func TestNetConnDeadlinesDoNotDisturbTheSession(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		c := s.NetConn()
		for range 3 {
			require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
			start := time.Now()
			_, err := c.Read(make([]byte, 1))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Equal(t, time.Minute, since(start))
			var ne net.Error
			require.ErrorAs(t, err, &ne)
			require.True(t, ne.Timeout())
			require.NoError(t, s.Err())
			require.NoError(t, c.SetReadDeadline(time.Time{}))
			go peer.Write([]byte("hello"))
			b := make([]byte, 5)
			_, err = io.ReadFull(c, b)
			require.NoError(t, err)
			require.Equal(t, "hello", string(b))
		}
		other := s.NetConn()
		require.NoError(t, c.SetDeadline(time.Now()))
		_, err := c.Write([]byte("x"))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		go io.Copy(io.Discard, peer)
		_, err = other.Write([]byte("x"))
		require.NoError(t, err, "another view has deadlines of its own")
	})
}

func TestNetConnReadsAMessageInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, peer := memSession(t, nil)
		c := s.NetConn()
		go func() {
			peer.Write([]byte("hello"))
			peer.CloseWrite()
		}()
		var got []byte
		b := make([]byte, 2)
		for {
			n, err := c.Read(b)
			got = append(got, b[:n]...)
			if err != nil {
				require.Equal(t, io.EOF, err)
				break
			}
		}
		require.Equal(t, "hello", string(got))
		_, err := c.Read(b)
		require.Equal(t, io.EOF, err, "again")
	})
}

func TestNetConnReadFailsAfterAnEndOtherThanThePeers(t *testing.T) {
	for _, end := range failures {
		if end.name == "closing Send and the peer's end" || end.name == "CloseWrite and the peer's end" {
			continue
		}
		t.Run(end.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(context.Background())
				defer cancel(nil)
				a, peer := memPair()
				defer peer.Close()
				s := chanio.NewSession(ctx, a, &end.o)
				c := s.NetConn()
				go io.Copy(io.Discard, peer)
				end.end(s, peer, cancel)
				<-s.Done()
				_, err := c.Read(make([]byte, 1))
				switch {
				case end.name == "the peer's end and HalfCloseTimeout":
					require.Equal(t, io.EOF, err)
				case end.err == nil:
					require.ErrorIs(t, err, net.ErrClosed)
				case end.err == os.ErrDeadlineExceeded:
					require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "only its own deadlines are")
					require.ErrorIs(t, err, net.ErrClosed)
					var ne net.Error
					require.False(t, errors.As(err, &ne) && ne.Timeout())
				default:
					require.ErrorIs(t, err, end.err)
				}
				_, err = c.Write([]byte("x"))
				require.ErrorIs(t, err, net.ErrClosed)
				require.ErrorIs(t, c.SetDeadline(time.Now()), net.ErrClosed)
				require.NoError(t, c.Close())
			})
		})
	}
}

func TestNetConnReadsReceivedDataUnderADeadlineAfterTheSessionsEnd(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.RecvQueue = 1
		s, peer := memSession(t, &o)
		c := s.NetConn()
		_, err := peer.Write([]byte("the answer"))
		require.NoError(t, err)
		require.NoError(t, s.CloseWrite())
		require.NoError(t, peer.Close())
		<-s.Done()
		require.NoError(t, s.Err())
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Second)))
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, "the answer", string(got))
		require.NoError(t, c.Close())
		require.ErrorIs(t, c.SetReadDeadline(time.Now()), net.ErrClosed)
	})
}

func TestNetConnReadsTheEndOfStreamUnderADeadlineAfterTheSessionEnds(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		c := s.NetConn()
		require.NoError(t, s.CloseWrite())
		require.NoError(t, peer.Close())
		<-s.Done()
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Second)))
		_, err := c.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
	})
}

func TestNetConnReadsReceivedDataUnderADeadlineAfterAFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, peer := memPair()
		s := chanio.NewSession(t.Context(), brokenOutput{a}, nil)
		c := s.NetConn()
		const parts = 5
		for range parts {
			_, err := peer.Write([]byte("part"))
			require.NoError(t, err)
		}
		require.NoError(t, s.Put([]byte("x")))
		peer.Close()
		<-s.Done()
		require.ErrorContains(t, s.Err(), "broken")
		b := make([]byte, 3) // a part takes two reads
		for range 2 * parts {
			require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Second)))
			_, err := c.Read(b)
			require.NoError(t, err)
		}
		require.ErrorIs(t, c.SetReadDeadline(time.Now()), net.ErrClosed)
	})
}

func TestNetConnCloseWriteAndCloseAreTheSessions(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		c := s.NetConn()
		require.Equal(t, s.LocalAddr(), c.LocalAddr())
		require.Equal(t, s.RemoteAddr(), c.RemoteAddr())
		require.NoError(t, c.(halfCloser).CloseWrite())
		_, err := peer.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		_, err = c.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
		start := time.Now()
		require.NoError(t, c.Close())
		require.Zero(t, since(start), "it does not wait")
		<-s.Done()
	})
}

func TestNetConnIsForRawStreamsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := memSession(t, &chanio.Options{Framing: netstring{}})
		c := s.NetConn()
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, errors.ErrUnsupported)
		_, err = c.Write([]byte("x"))
		require.ErrorIs(t, err, errors.ErrUnsupported)
	})
}

func TestNetConnWritesOfManyGoroutinesStayWhole(t *testing.T) {
	eachPair(t, func(t *testing.T, s *chanio.Session, peer net.Conn) {
		c := s.NetConn()
		const writers, size = 4, 3*chanio.NetWriteSize + 17
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				n, err := c.Write(bytes.Repeat([]byte{byte(i)}, size))
				assert.NoError(t, err)
				assert.Equal(t, size, n)
			})
		}
		b := make([]byte, size)
		for range writers {
			_, err := io.ReadFull(peer, b)
			require.NoError(t, err)
			require.Equal(t, size, bytes.Count(b, b[:1]))
		}
		wg.Wait()
	})
}

func TestNetConnReadAfterAnEndByATimeoutOfOthersIsNotATimeout(t *testing.T) {
	// Else a loop that sets deadlines would read for ever.
	for _, end := range []struct {
		name string
		end  func(s *chanio.Session)
	}{
		{"its context's deadline", func(s *chanio.Session) { <-s.Done() }},
		{"the network's", func(s *chanio.Session) { s.Abort(os.NewSyscallError("read", syscall.ETIMEDOUT)) }},
		{"a caller's", func(s *chanio.Session) { s.Abort(fmt.Errorf("the lookup: %w", context.DeadlineExceeded)) }},
	} {
		t.Run(end.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				a, peer := memPair()
				defer peer.Close()
				s := chanio.NewSession(ctx, a, nil)
				c := s.NetConn()
				end.end(s)
				<-s.Done()
				_, err := c.Read(make([]byte, 1))
				require.ErrorIs(t, err, net.ErrClosed)
				require.ErrorContains(t, err, s.Err().Error())
				var ne net.Error
				require.False(t, errors.As(err, &ne) && ne.Timeout())
			})
		})
	}
}
