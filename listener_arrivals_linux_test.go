package chanio_test

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// readers returns how many goroutines read streams.
func readers() (n int) {
	for _, stack := range libraryStacks() {
		if slices.Contains(stack, "(*stream).run") {
			n++
		}
	}
	return n
}

func TestASessionThatHasReceivedNothingHasNoGoroutine(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			l := listenOn(t, t.Context(), network, anyAddress(t, network), nil)
			s, peer := acceptedBy(t, l)
			recv := s.Recv()
			// The reader of a session that is Done may still be returning.
			require.Eventually(t, func() bool { return readers() == 0 }, patience, time.Millisecond)
			_, err := peer.Write([]byte("hello"))
			require.NoError(t, err)
			m, ok := await(t, recv, "the first message")
			require.True(t, ok)
			require.Equal(t, "hello", string(m))
			require.Equal(t, 1, readers())
		})
	}
}

// Sessions get what arrived before they were there, or together with others.
func TestFirstInputReachesEverySession(t *testing.T) {
	const clients = 300 // more than one system call reports
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
	var peers []net.Conn
	var sessions []*chanio.Session
	for i := range clients {
		peer := connectTo(t, l)
		if i%3 == 0 {
			_, err := peer.Write([]byte{byte(i)})
			require.NoError(t, err)
		}
		s, _ := await(t, l.Sessions(), "a session")
		peers, sessions = append(peers, peer), append(sessions, s)
	}
	for i, peer := range peers {
		if i%3 != 0 {
			_, err := peer.Write([]byte{byte(i)})
			require.NoError(t, err)
		}
	}
	for i, s := range sessions {
		m, ok := await(t, s.Recv(), "the first message")
		require.True(t, ok)
		port := s.RemoteAddr().(*net.TCPAddr).Port
		require.Equal(t, peers[i].LocalAddr().(*net.TCPAddr).Port, port)
		require.Equal(t, []byte{byte(i)}, m)
	}
}

func TestASessionThatHasReceivedNothingEndsAsOthersDo(t *testing.T) {
	for _, test := range []struct {
		name string
		o    chanio.Options
		end  func(s *chanio.Session, peer *net.TCPConn)
		want error
	}{
		{"Close", chanio.Options{}, func(s *chanio.Session, peer *net.TCPConn) { peer.CloseWrite(); s.Close() }, nil},
		{"Close with a silent peer", chanio.Options{}, func(s *chanio.Session, _ *net.TCPConn) { s.Close() }, nil},
		{"Abort", chanio.Options{}, func(s *chanio.Session, _ *net.TCPConn) { s.Abort(nil) }, chanio.ErrClosed},
		{"FIN", chanio.Options{}, func(s *chanio.Session, peer *net.TCPConn) { peer.CloseWrite(); s.CloseWrite() }, nil},
		{"RST", chanio.Options{}, func(_ *chanio.Session, peer *net.TCPConn) { peer.SetLinger(0); peer.Close() }, syscall.ECONNRESET},
		{"IdleTimeout", chanio.Options{IdleTimeout: time.Millisecond}, func(*chanio.Session, *net.TCPConn) {}, os.ErrDeadlineExceeded},
		{"CloseWrite and the peer's end", chanio.Options{}, func(s *chanio.Session, peer *net.TCPConn) { s.CloseWrite(); peer.Close() }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", &test.o)
			s, peer := acceptedBy(t, l)
			recv := s.Recv()
			test.end(s, peer.(*net.TCPConn))
			_, ok := await(t, recv, "the end of Recv")
			require.False(t, ok)
			awaitDone(t, s)
			if test.want == nil {
				require.NoError(t, s.Err())
			} else {
				require.ErrorIs(t, s.Err(), test.want)
			}
		})
	}
}

func TestAListenerEndsWithSessionsThatHaveReceivedNothing(t *testing.T) {
	cause := errors.New("no more")
	for _, test := range []struct {
		name string
		end  func(cancel context.CancelCauseFunc, l *chanio.Listener)
		want error
	}{
		{"Close", func(_ context.CancelCauseFunc, l *chanio.Listener) { l.Close() }, chanio.ErrClosed},
		{"Shutdown", func(_ context.CancelCauseFunc, l *chanio.Listener) { l.Shutdown(context.Background()) }, nil},
		{"the context's end", func(cancel context.CancelCauseFunc, _ *chanio.Listener) { cancel(cause) }, cause},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			l := listenOn(t, ctx, "tcp", "127.0.0.1:0", &chanio.Options{CloseTimeout: time.Hour})
			var sessions []*chanio.Session
			for range 20 {
				s, _ := acceptedBy(t, l)
				sessions = append(sessions, s)
				go func() {
					for range s.Recv() {
					}
					s.Close()
				}()
			}
			test.end(cancel, l)
			await(t, l.Done(), "the end of the listener")
			for _, s := range sessions {
				awaitDone(t, s)
				if test.want != nil {
					require.ErrorIs(t, s.Err(), test.want)
				}
			}
		})
	}
}

// A restarted listener waits for the first input of its new sessions too.
func TestFirstInputAfterARestart(t *testing.T) {
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
	acceptedBy(t, l)
	require.NoError(t, l.Restart(t.Context()))
	s, peer := acceptedBy(t, l)
	_, err := peer.Write([]byte("hello"))
	require.NoError(t, err)
	m, _ := await(t, s.Recv(), "the first message")
	require.Equal(t, "hello", string(m))
}

// A client may be gone before its session is there.
func TestAResetBeforeTheSessionIsItsError(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	peer, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	require.NoError(t, peer.(*net.TCPConn).SetLinger(0))
	require.NoError(t, peer.Close())
	l := chanio.Serve(t.Context(), ln, nil)
	defer l.Close()
	s, ok := await(t, l.Sessions(), "a session")
	require.True(t, ok)
	_, ok = await(t, s.Recv(), "the end of Recv")
	require.False(t, ok)
	require.ErrorIs(t, s.Err(), syscall.ECONNRESET)
}

// Sessions would wait forever for what the poller does not watch.
func TestFirstInputIsNotAwaitedOutsideThePoller(t *testing.T) {
	file, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer file.Close()
	require.False(t, chanio.WaitsThrough(file))
}
