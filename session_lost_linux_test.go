package chanio_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/sock"
)

// fillKernel puts data to s that the kernel takes and the peer, which does not
// read, does not acknowledge.
func fillKernel(t *testing.T, s *chanio.Session) {
	t.Helper()
	require.NoError(t, s.Put(make([]byte, kernelRoom(t, s))))
	require.NoError(t, s.Flush(t.Context()), "the kernel takes all of it")
}

// writeBuffer returns the size of s' write buffer in the kernel: at most
// net.core.wmem_max.
func writeBuffer(t *testing.T, s *chanio.Session) int {
	t.Helper()
	return socketOption(t, s.Socket().RawConn(), syscall.SOL_SOCKET, syscall.SO_SNDBUF) / 2 // Linux doubles it
}

// kernelRoom returns how much the kernel takes from s at once.
func kernelRoom(t *testing.T, s *chanio.Session) int {
	t.Helper()
	return min(1<<20, writeBuffer(t, s)/2) // what keeps track of the data takes room, too
}

func TestCloseReportsAResetBeforeEverythingWasAcknowledged(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(t *testing.T, s *chanio.Session) // the reset
	}{
		{"open", func(*testing.T, *chanio.Session) {}},
		{"after CloseWrite", func(t *testing.T, s *chanio.Session) {
			require.NoError(t, s.CloseWrite())
			awaitEnd(t, s)
		}},
		{"while it lingers", func(t *testing.T, s *chanio.Session) {
			go s.Close()
			awaitEnd(t, s)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachSecurity(t, func(t *testing.T, s *chanio.Session, _ net.Conn, wire *net.TCPConn) {
				fillKernel(t, s)
				test.before(t, s)
				chanio.AbortConn(wire)
				awaitDone(t, s)
				require.ErrorIs(t, s.Err(), errReset)
				require.Zero(t, s.Stats().Undelivered, "the kernel had taken everything")
				require.Equal(t, s.Err(), s.Close())
			})
		})
	}
}

func TestAbortLosesUnacknowledgedDataAndCloseReportsIt(t *testing.T) {
	eachSecurity(t, func(t *testing.T, s *chanio.Session, _ net.Conn, _ *net.TCPConn) {
		fillKernel(t, s)
		s.Abort(errTest)
		awaitDone(t, s)
		require.Equal(t, errTest, s.Close())
	})
}

// awaitAcknowledged waits until the peer has acknowledged everything.
func awaitAcknowledged(t *testing.T, socket *sock.Socket) {
	t.Helper()
	require.Eventually(t, func() bool { return socket.Progress().Left == 0 }, patience, time.Millisecond)
}

// awaitEnd waits until the session's end of stream is sent.
func awaitEnd(t *testing.T, s *chanio.Session) {
	t.Helper()
	require.Eventually(t, s.SentEnd, patience, time.Millisecond)
}

func TestAResetAfterEverythingWasAcknowledgedIsNotALoss(t *testing.T) {
	eachSecurity(t, func(t *testing.T, s *chanio.Session, peer net.Conn, wire *net.TCPConn) {
		require.NoError(t, s.Put([]byte("all there is")))
		_, err := io.ReadFull(peer, make([]byte, len("all there is")))
		require.NoError(t, err)
		awaitAcknowledged(t, s.Socket())
		closed := make(chan error, 1)
		go func() { closed <- s.Close() }()
		awaitEnd(t, s)
		chanio.AbortConn(wire) // the end of stream may not be acknowledged yet
		err, _ = await(t, closed, "Close")
		require.NoError(t, err)
		require.NoError(t, s.Err())
	})
}

// eachSecurity runs f for sessions over tcp, over the library's TLS and over a
// user's *tls.Conn. The peer acknowledges only a little unless it reads; wire is
// its socket.
func eachSecurity(t *testing.T, f func(t *testing.T, s *chanio.Session, peer net.Conn, wire *net.TCPConn)) {
	o := &chanio.Options{CloseTimeout: patience, WriteBuffer: 4 << 20}
	server, client := testTLS(t)
	client.ServerName = "localhost"
	for _, kind := range []string{"tcp", "tls", "a *tls.Conn"} {
		t.Run(kind, func(t *testing.T) {
			conn, peer := socketPair(t, "tcp")
			wire := peer.(*net.TCPConn)
			defer wire.Close()
			require.NoError(t, wire.SetReadBuffer(4<<10))
			require.NoError(t, peer.SetDeadline(time.Now().Add(patience)))
			var s *chanio.Session
			switch kind {
			case "tcp":
				s = chanio.NewSession(t.Context(), conn, o)
			case "tls":
				o := *o
				o.TLS = server
				ln := newMemListener()
				l := chanio.Serve(t.Context(), ln, &o)
				defer l.Close()
				ln.replace <- func(net.Conn) net.Conn { return conn }
				ln.dial()
				peer = tls.Client(wire, client)
				require.NoError(t, peer.(*tls.Conn).Handshake())
				s, _ = await(t, l.Sessions(), "a session")
			default:
				s = chanio.NewSession(t.Context(), tls.Server(conn, server), o)
				peer = tls.Client(wire, client)
				require.NoError(t, peer.(*tls.Conn).Handshake())
			}
			f(t, s, peer, wire)
			s.Abort(nil)
			awaitDone(t, s)
		})
	}
}

func TestAnEndOfStreamThatCannotBeSentEndsOnlyTheSending(t *testing.T) {
	for _, form := range []string{"messages", "batches"} {
		t.Run(form, func(t *testing.T) {
			conn, peer := socketPair(t, "tcp")
			s := chanio.NewSession(t.Context(), conn, &chanio.Options{Framing: chanio.Lines{}, RecvQueue: -1, ReadBuffer: 4 << 20})
			line := append(bytes.Repeat([]byte("x"), 999), '\n')
			const lines = 300 // more than one read takes
			_, err := peer.Write(bytes.Repeat(line, lines))
			require.NoError(t, err)
			awaitAcknowledged(t, sock.Of(peer))
			require.NoError(t, chanio.AbortConn(peer))
			require.Eventually(t, func() bool { return s.Socket().End().Failed }, patience, time.Millisecond)
			s.CloseWrite()
			s.Flush(t.Context()) // until the end of stream has failed
			got := 0
			if form == "messages" {
				for range s.Recv() {
					got++
				}
			} else {
				for b := range s.RecvBatch() {
					got += b.Len()
					b.Release()
				}
			}
			require.Equal(t, lines, got)
			awaitDone(t, s)
			require.Error(t, s.Err())
		})
	}
}

func TestAnEndOfStreamThatMeetsAResetIsNotClean(t *testing.T) {
	// Only the first system call after a reset reports it. If that was the
	// write of our end, the reader has met what looks like the peer's.
	for _, test := range []struct {
		name  string
		errno syscall.Errno
		clean bool
	}{
		{"a reset", syscall.ECONNRESET, false},
		{"a peer that has ended its stream and takes no more", syscall.EPIPE, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachStream(t, func(t *testing.T, _ *chanio.Listener, s *chanio.Session, peer net.Conn) {
				require.NoError(t, peer.(halfCloser).CloseWrite())
				for range s.Recv() {
					t.Error("a message")
				}
				s.EndFailed(os.NewSyscallError("write", test.errno))
				awaitDone(t, s)
				if test.clean {
					require.NoError(t, s.Err())
				} else {
					require.ErrorIs(t, s.Err(), test.errno)
				}
			})
		})
	}
}

func TestCloseReportsAResetThatTheReaderWasTooBusyToSee(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(s *chanio.Session, cancel context.CancelFunc)
	}{
		{"its timer ends it", func(*chanio.Session, context.CancelFunc) {}},
		{"its context ends it", func(_ *chanio.Session, cancel context.CancelFunc) { cancel() }},
		{"Close ends it", func(s *chanio.Session, _ context.CancelFunc) { go s.Close() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			conn, peer := socketPair(t, "tcp")
			require.NoError(t, peer.(*net.TCPConn).SetReadBuffer(4<<10))
			s := chanio.NewSession(ctx, conn, &chanio.Options{CloseTimeout: time.Second / 2, WriteBuffer: 4 << 20})
			_, err := peer.Write([]byte("nobody receives this"))
			require.NoError(t, err)
			require.Eventually(t, func() bool { return s.Stats().BytesReceived > 0 }, patience, time.Millisecond)
			fillKernel(t, s)
			require.NoError(t, chanio.AbortConn(peer))
			require.Eventually(t, func() bool { return s.Socket().End().Failed }, patience, time.Millisecond)
			test.end(s, cancel)
			awaitDone(t, s)
			require.Zero(t, s.Stats().Undelivered, "the kernel had taken everything")
			require.Error(t, s.Err())
			require.Equal(t, s.Err(), s.Close())
		})
	}
}

func TestAResetThatTheWriterHasMetCutsTheInputOff(t *testing.T) {
	for _, kind := range []string{"tcp", "tls", "a *tls.Conn"} { // a write to a unix socket takes no error from its reader
		t.Run(kind, func(t *testing.T) {
			w := overWire(t, kind, chanio.Options{RecvQueue: -1})
			recv := w.Recv()
			require.NoError(t, w.Put([]byte("never read")))
			require.NoError(t, w.Flush(t.Context()))
			_, err := w.peer.Write([]byte("x"))
			require.NoError(t, err)
			require.Eventually(t, func() bool { return w.Stats().BytesReceived > 0 }, patience, time.Millisecond)
			chanio.AbortConn(w.wire)
			require.Eventually(t, func() bool { return w.Socket().End().Failed }, patience, time.Millisecond)
			require.ErrorIs(t, w.TryWrite([]byte("x")), errReset, "of two calls, the first learns of it")
			m, _ := await(t, recv, "what came before")
			require.Equal(t, "x", string(m))
			_, ok := await(t, recv, "the end")
			require.False(t, ok)
			require.ErrorIs(t, w.Err(), errReset)
		})
	}
}

func TestCloseReportsAResetThatTheReaderMetWhenItWasStopped(t *testing.T) {
	conn, peer := socketPair(t, "tcp")
	require.NoError(t, peer.(*net.TCPConn).SetReadBuffer(4<<10))
	s, _, err := chanio.NewSessionUnread(t.Context(), conn, &chanio.Options{CloseTimeout: patience, WriteBuffer: 4 << 20})
	require.NoError(t, err)
	fillKernel(t, s)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	awaitEnd(t, s)
	require.NoError(t, chanio.AbortConn(peer))
	require.Eventually(t, func() bool { return s.Socket().End().Failed }, patience, time.Millisecond)
	require.NoError(t, conn.SetReadDeadline(time.Time{})) // the read began before Close
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, errReset)
	s.FailRead(err)
	err, _ = await(t, closed, "Close")
	require.ErrorIs(t, err, errReset)
	require.Equal(t, s.Err(), err)
}
