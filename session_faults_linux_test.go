package chanio_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/readable"
)

func TestAFailedWriteEndsOnlyTheSending(t *testing.T) {
	eachSocket(t, func(t *testing.T, conn, peer net.Conn) {
		s := chanio.NewSession(t.Context(), conn, &chanio.Options{Framing: chanio.Lines{}})
		const lines = 1000
		_, err := peer.Write(bytes.Repeat([]byte("question\n"), lines))
		require.NoError(t, err)
		require.NoError(t, peer.Close())
		got := 0
		for range s.Recv() {
			got++
			s.Put([]byte("answer"))
			if got%100 == 0 {
				s.Flush(t.Context()) // so that a write has failed before everything was read
			}
		}
		require.Equal(t, lines, got)
		s.Close()
		require.Error(t, s.Err(), "answers were lost")
		require.Positive(t, s.Stats().Undelivered)
	})
}

func TestAPeerThatReadsSlowlyIsNotStalled(t *testing.T) {
	eachSocket(t, func(t *testing.T, conn, peer net.Conn) {
		t.Parallel()
		require.NoError(t, peer.SetDeadline(time.Now().Add(patience))) // from now on
		if c, ok := peer.(*net.TCPConn); ok {
			require.NoError(t, c.SetReadBuffer(16<<10)) // else it acknowledges megabytes before it reads
		}
		s := chanio.NewSession(t.Context(), conn, &chanio.Options{WriteTimeout: 5 * time.Second, WriteBuffer: 4 << 20})
		needWriteBuffer(t, s, 4<<20)
		require.NoError(t, s.Put(make([]byte, 32<<20)))
		slow := time.NewTicker(50 * time.Millisecond)
		defer slow.Stop()
		for range 220 { // 11 seconds at 320 KB a second: a third of the buffer takes longer than WriteTimeout
			<-slow.C
			_, err := io.ReadFull(peer, make([]byte, 16<<10))
			require.NoError(t, err)
		}
		require.NoError(t, s.Err())
		require.Positive(t, s.Stats().BytesSent)
		s.Abort(nil)
		awaitDone(t, s)
	})
}

// needWriteBuffer skips the test, and ends s, if the kernel allows it a smaller
// write buffer.
func needWriteBuffer(t *testing.T, s *chanio.Session, size int) {
	t.Helper()
	if got := writeBuffer(t, s); got < size {
		s.Abort(nil)
		awaitDone(t, s)
		t.Skipf("net.core.wmem_max allows a write buffer of %d bytes, and this needs %d", got, size)
	}
}

// sendToVanished returns a session of which the kernel holds more than its peer,
// which may have ended its side before, will ever take.
func sendToVanished(t *testing.T, halfClosed bool) *chanio.Session {
	t.Helper()
	conn, peer := socketPair(t, "tcp")
	t.Cleanup(func() { peer.Close() })
	require.NoError(t, peer.(*net.TCPConn).SetReadBuffer(4<<10))
	s := chanio.NewSession(t.Context(), conn, &chanio.Options{WriteTimeout: 400 * time.Millisecond, WriteBuffer: 4 << 20})
	if halfClosed {
		require.NoError(t, peer.(halfCloser).CloseWrite())
		_, ok := await(t, s.Recv(), "the peer's end")
		require.False(t, ok)
	}
	// Not by the session, whose WriteTimeout would run while the kernel takes it.
	require.NoError(t, conn.SetWriteDeadline(time.Now().Add(patience)))
	_, err := conn.Write(make([]byte, kernelRoom(t, s)))
	require.NoError(t, err, "the kernel takes all of it")
	require.NoError(t, conn.SetWriteDeadline(time.Time{}))
	s.Put([]byte("x"))
	return s
}

func TestAVanishedPeerIsDetectedWhileTheKernelStillBuffers(t *testing.T) {
	for _, halfClosed := range []bool{false, true} {
		t.Run(fmt.Sprintf("halfClosed=%v", halfClosed), func(t *testing.T) {
			s := sendToVanished(t, halfClosed)
			awaitDone(t, s)
			requireTimeout(t, s.Err())
			require.ErrorContains(t, s.Err(), "WriteTimeout")
		})
	}
}

// What the session adds is no progress of the peer, before the peer's end of stream
// and after it.
func TestAVanishedPeerIsDetectedThoughMoreIsSentAllTheTime(t *testing.T) {
	for _, halfClosed := range []bool{false, true} {
		t.Run(fmt.Sprintf("halfClosed=%v", halfClosed), func(t *testing.T) {
			s := sendToVanished(t, halfClosed)
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			ended := false
			for began := time.Now(); !ended && time.Since(began) < patience; {
				<-tick.C // so that the kernel has room for all of it
				ended = s.Put([]byte("more")) != nil
			}
			require.True(t, ended, "while it sends")
			awaitDone(t, s)
			require.ErrorContains(t, s.Err(), "WriteTimeout")
		})
	}
}

func TestASlowHandlerDoesNotMakeThePeerIdle(t *testing.T) {
	for _, form := range []string{"messages", "batches"} {
		t.Run(form, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				o.IdleTimeout, o.Framing = 500*time.Millisecond, chanio.Lines{}
				s, peer := memSession(t, &o)
				const lines = 200
				go func() {
					for range lines {
						peer.Write([]byte("line\n"))
						<-time.After(10 * time.Millisecond)
					}
				}()
				got := 0
				take := func(n int) {
					if got++; got == 5 {
						<-time.After(time.Minute)
					}
					got += n - 1
				}
				if form == "messages" {
					for range s.Recv() {
						take(1)
					}
				} else {
					for b := range s.RecvBatch() {
						take(b.Len())
					}
				}
				require.Equal(t, lines, got)
				requireTimeout(t, s.Err())
			})
		})
	}
}

func TestMessagesSentAfterCloseWriteAreReceivedAndCounted(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		send := s.Send()
		require.NoError(t, s.CloseWrite())
		_, err := peer.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		for range 300 {
			select {
			case send <- []byte("x"):
			case <-s.Done():
				require.Fail(t, "the other direction lives on")
			}
		}
		synctest.Wait()
		require.NoError(t, s.Err())
		require.EqualValues(t, 300, s.Stats().Undelivered)
		require.ErrorIs(t, s.Flush(t.Context()), chanio.ErrClosed)
		_, err = peer.Write([]byte("still received"))
		require.NoError(t, err)
		require.Equal(t, "still received", string(<-s.Recv()))
	})
}

func TestCloseLingersUntilASlowPeerHasAcknowledgedAll(t *testing.T) {
	conn, peer := socketPair(t, "tcp")
	defer peer.Close()
	require.NoError(t, peer.(*net.TCPConn).SetReadBuffer(16<<10))
	s := chanio.NewSession(t.Context(), conn, &chanio.Options{WriteBuffer: 4 << 20, CloseTimeout: patience})
	want := noise(1 << 20)
	require.NoError(t, s.Put(want))
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	var got []byte
	for pause := time.NewTicker(20 * time.Millisecond); len(got) < len(want); <-pause.C { // more than a second in all
		if len(want)-len(got) > 64<<10 { // else all may be acknowledged, and it lingers only a while
			_, err := peer.Write([]byte("the peer goes on talking"))
			require.NoError(t, err)
		}
		p := make([]byte, 16<<10)
		n, err := peer.Read(p)
		require.NoError(t, err, "after %d bytes", len(got))
		got = append(got, p[:n]...)
	}
	require.True(t, bytes.Equal(want, got))
	err, _ := await(t, closed, "Close")
	require.NoError(t, err)
	require.NoError(t, s.Err())
}

func TestCloseReportsAPeerThatDoesNotAcknowledge(t *testing.T) {
	conn, peer := socketPair(t, "tcp")
	defer peer.Close()
	require.NoError(t, peer.(*net.TCPConn).SetReadBuffer(4<<10))
	s := chanio.NewSession(t.Context(), conn, &chanio.Options{WriteBuffer: 4 << 20, CloseTimeout: 300 * time.Millisecond})
	fillKernel(t, s)
	err := s.Close()
	requireTimeout(t, err)
	require.Equal(t, err, s.Err())
}

func TestAResetIsTheErrorWhenRecvCloses(t *testing.T) {
	for _, kind := range []string{"tcp", "unix", "tls"} {
		t.Run(kind, func(t *testing.T) {
			for range 300 {
				w := overWire(t, kind, chanio.Options{})
				go func() {
					for w.Put([]byte("xx")) == nil { // of which the peer reads one
						runtime.Gosched() // or the two ends of Send pass one processor to each other
					}
				}()
				w.peer.Read(make([]byte, 1))
				chanio.AbortConn(w.wire) // beside unread input
				for range w.Recv() {
				}
				seen := w.Err()
				awaitDone(t, w)
				if seen == nil {
					require.NoError(t, w.Err(), "it looked like a clean end")
				}
			}
		})
	}
}

// heldLines frames nothing before all is sent.
type heldLines struct {
	lines chanio.Lines
	sent  chan struct{} // closed when all is
}

func (f heldLines) AppendFrame(dst, m []byte) ([]byte, error) {
	<-f.sent
	return f.lines.AppendFrame(dst, m)
}

func (f heldLines) Next(buf []byte, max int) ([]byte, int, error) { return f.lines.Next(buf, max) }

func TestABadMessageOnSendLosesNoEarlierMessage(t *testing.T) {
	eachSocket(t, func(t *testing.T, conn, peer net.Conn) {
		framing := heldLines{sent: make(chan struct{})}
		s := chanio.NewSession(t.Context(), conn, &chanio.Options{Framing: framing, SendQueue: 8})
		for _, m := range []string{"one", "two", "three\nfour", "five"} {
			s.Send() <- []byte(m)
		}
		close(framing.sent) // or the session could end before "five" is sent
		r := bufio.NewReader(peer)
		for _, want := range []string{"one\n", "two\n"} {
			got, err := r.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		_, err := r.ReadByte()
		require.ErrorIs(t, err, io.EOF)
		awaitDone(t, s)
		require.Error(t, s.Err())
		require.EqualValues(t, len("three\nfour")+len("five"), s.Stats().Undelivered)
	})
}

func TestBytesSentAdvancesDuringALongMessage(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		require.NoError(t, s.Put(make([]byte, 1<<20)))
		_, err := io.ReadFull(peer, make([]byte, 512<<10))
		require.NoError(t, err)
		synctest.Wait()
		st := s.Stats()
		require.EqualValues(t, 512<<10, st.BytesSent)
		require.EqualValues(t, 512<<10, st.BytesPending)
		s.Abort(nil)
	})
}

func TestBytesSentAdvancesDuringALongMessageOverASocket(t *testing.T) {
	for _, kind := range []string{"tcp", "unix", "tls", "a *tls.Conn"} { // a packet is sent as a whole
		t.Run(kind, func(t *testing.T) {
			w := overWire(t, kind, chanio.Options{})
			const size, read = 64 << 20, 32 << 20
			require.NoError(t, w.Put(make([]byte, size)))
			_, err := io.CopyN(io.Discard, w.peer, read)
			require.NoError(t, err)
			require.Eventually(t, func() bool {
				st := w.Stats()
				return st.BytesSent >= read && st.BytesSent+st.BytesPending == size
			}, patience, time.Millisecond)
		})
	}
}

func TestASessionOverAConnectedUDPSocketKeepsItsMessages(t *testing.T) {
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer server.Close()
	conn, err := net.Dial("udp", server.LocalAddr().String())
	require.NoError(t, err)
	s := chanio.NewSession(t.Context(), conn, nil)
	defer s.Close()
	for _, n := range []int{10, 20_000, 1} {
		require.NoError(t, s.Put(make([]byte, n)))
		p := make([]byte, 1<<16)
		got, from, err := server.ReadFromUDP(p)
		require.NoError(t, err)
		require.Equal(t, n, got)
		_, err = server.WriteToUDP(p[:n], from)
		require.NoError(t, err)
		m, _ := await(t, s.Recv(), "the echo")
		require.Len(t, m, n)
	}
	_, err = s.NetConn().Read(make([]byte, 1))
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

func TestNewSessionRefusesOtherPacketConnections(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	ln, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	require.NoError(t, err)
	defer ln.Close()
	packets, err := net.Dial("unixpacket", path)
	require.NoError(t, err)
	unbound, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	udp, err := net.Dial("udp", unbound.LocalAddr().String())
	require.NoError(t, err)
	for _, conn := range []net.Conn{struct{ net.Conn }{packets}, unbound.(*net.UDPConn), struct{ net.Conn }{udp}} {
		s := chanio.NewSession(t.Context(), conn, nil)
		awaitDone(t, s)
		require.ErrorIs(t, s.Err(), errors.ErrUnsupported)
		_, err := conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
	}
}

func TestACleanCloseIsNeverAnIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, peer := memSession(t, &chanio.Options{IdleTimeout: time.Second})
		require.NoError(t, s.Put([]byte("x")))
		time.AfterFunc(3*time.Second, func() { peer.Read(make([]byte, 1)) })
		require.NoError(t, s.Close())
		require.NotErrorIs(t, s.Err(), os.ErrDeadlineExceeded)
	})
}

func TestNoTimeoutEndsASessionWhoseInputWaitsForItsReader(t *testing.T) {
	// When a paused process goes on, its timers may run before its readers.
	ping := chanio.Options{Framing: chanio.Lines{}, PingInterval: time.Hour, Ping: []byte("ping")}
	nothing := func(*chanio.Session) {}
	for _, test := range []struct {
		name, network string
		o             chanio.Options
		before        func(s *chanio.Session)
	}{
		{"IdleTimeout", "tcp", chanio.Options{IdleTimeout: time.Hour}, nothing},
		{"IdleTimeout of a udp session", "udp", chanio.Options{IdleTimeout: time.Hour}, nothing},
		{"PingTimeout", "tcp", ping, nothing},
		{"MessageTimeout", "tcp", chanio.Options{Framing: chanio.Lines{}, MessageTimeout: time.Hour}, (*chanio.Session).BeginMessage},
		{"CloseTimeout after a failed write", "tcp", chanio.Options{CloseTimeout: time.Hour}, func(s *chanio.Session) {
			s.EndFailed(os.NewSyscallError("write", syscall.EPIPE))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var conn net.Conn
			var err error
			if test.network == "udp" {
				peer, err := net.ListenPacket("udp", "127.0.0.1:0")
				require.NoError(t, err)
				defer peer.Close()
				conn, err = net.Dial("udp", peer.LocalAddr().String())
				require.NoError(t, err)
				_, err = peer.WriteTo([]byte("it came in time"), conn.LocalAddr())
				require.NoError(t, err)
			} else {
				var peer net.Conn
				conn, peer = socketPair(t, "tcp")
				defer peer.Close()
				_, err = peer.Write([]byte("it came in time\n"))
				require.NoError(t, err)
			}
			rc, err := conn.(syscall.Conn).SyscallConn()
			require.NoError(t, err)
			require.NoError(t, readable.Await(rc))
			s, start, err := chanio.NewSessionUnread(t.Context(), conn, &test.o)
			require.NoError(t, err)
			recv := s.Recv()
			test.before(s)
			for range 2 { // a ping, or another first look, and its timeout
				s.Pass(2 * time.Hour)
			}
			start()
			m, _ := await(t, recv, "the message")
			require.Equal(t, "it came in time", strings.TrimSpace(string(m)))
			require.False(t, s.HasWriter(), "nothing was sent")
			s.Abort(nil)
			awaitDone(t, s)
		})
	}
}
