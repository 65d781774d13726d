package chanio_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/chanio"
)

func TestASessionDeliversAllAndItsEnd(t *testing.T) {
	// Input comes in pieces of all sizes, some of which fill a slab, to a handler
	// that is at times slower than its peer.
	eachStream(t, func(t *testing.T, _ *chanio.Listener, s *chanio.Session, peer net.Conn) {
		sent := noise(3 << 20)
		go func() {
			for rest, n := sent, 1; len(rest) > 0; n = min(2*n+1, len(rest)) {
				peer.Write(rest[:min(n, len(rest))])
				rest = rest[min(n, len(rest)):]
			}
			peer.(closeWriter).CloseWrite()
		}()
		var got []byte
		for m := range s.Recv() {
			got = append(got, m...)
		}
		require.True(t, bytes.Equal(sent, got))
		require.NoError(t, s.CloseWrite())
		awaitDone(t, s)
		require.NoError(t, s.Err())
	})
}

type closeWriter interface{ CloseWrite() error }

func TestASessionHearsEachMessageOfAConversation(t *testing.T) {
	// The session's reader parks between messages, and must not miss any that
	// comes in the meantime.
	messages := 2000
	if raceEnabled {
		messages = 500
	}
	eachStream(t, func(t *testing.T, _ *chanio.Listener, s *chanio.Session, peer net.Conn) {
		go sendBack(s)
		b := make([]byte, 1)
		for i := range messages {
			_, err := peer.Write([]byte{byte(i)})
			require.NoError(t, err)
			_, err = io.ReadFull(peer, b)
			require.NoError(t, err)
			require.Equal(t, byte(i), b[0])
		}
	})
}

func TestASessionHearsAnEndThatComesWithItsData(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(conn *net.TCPConn) error
		want error
	}{
		{"FIN", (*net.TCPConn).CloseWrite, nil},
		{"RST", func(conn *net.TCPConn) error { conn.SetLinger(0); return conn.Close() }, syscall.ECONNRESET},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
			for range 100 {
				// Both come before the session is there: one event tells of both.
				conn := connectTo(t, l).(*net.TCPConn)
				_, err := conn.Write([]byte("last words"))
				require.NoError(t, err)
				require.NoError(t, test.end(conn))
				s, ok := await(t, l.Sessions(), "a session")
				require.True(t, ok)
				for {
					if _, ok := await(t, s.Recv(), "the end"); !ok {
						break
					}
				}
				s.CloseWrite()
				awaitDone(t, s)
				require.ErrorIs(t, s.Err(), test.want)
			}
		})
	}
}

func TestASessionHearsACloseNotifyThatComesWithItsData(t *testing.T) {
	config, _ := testTLS(t)
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", &chanio.Options{TLS: config})
	s, conn := acceptedBy(t, l)
	peer := conn.(*tlsPeer)
	sealed := peer.seal(func() {
		_, err := peer.Write([]byte("last words"))
		require.NoError(t, err)
		require.NoError(t, peer.CloseWrite())
	})
	require.NoError(t, peer.wire.SetWriteDeadline(time.Time{})) // crypto/tls ends it
	_, err := peer.wire.Conn.Write(sealed.Bytes())
	require.NoError(t, err)
	m, _ := await(t, s.Recv(), "the data")
	require.Equal(t, "last words", string(m))
	_, ok := await(t, s.Recv(), "the end")
	require.False(t, ok)
	require.NoError(t, s.Err())
}

func TestASessionGetsInputThatArrivedWithTheEndOfItsHandshake(t *testing.T) {
	config, client := testTLS(t)
	client.ServerName = "localhost"
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", &chanio.Options{TLS: config})
	for range 20 { // one write may still be two reads
		w := &joined{Conn: connectTo(t, l)}
		peer := tls.Client(w, client)
		require.NoError(t, peer.Handshake())
		w.join = true
		_, err := peer.Write([]byte("at once"))
		require.NoError(t, err)
		s, _ := await(t, l.Sessions(), "a session")
		m, _ := await(t, s.Recv(), "the first message")
		require.Equal(t, "at once", string(m))
	}
}

// joined is a client's connection whose second flight, the end of the
// handshake, goes out with the first write after join is set.
type joined struct {
	net.Conn
	join  bool
	begun bool
	held  []byte
}

func (c *joined) Write(p []byte) (int, error) {
	if !c.begun {
		c.begun = true
		return c.Conn.Write(p)
	}
	c.held = append(c.held, p...)
	if !c.join {
		return len(p), nil
	}
	_, err := c.Conn.Write(c.held)
	c.held = nil
	return len(p), err
}

func TestUrgentDataDelaysNoSession(t *testing.T) {
	// A read stops at urgent data even if more follows (tcp(7)).
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
	s, peer := acceptedBy(t, l)
	rc, err := peer.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, rc.Control(func(fd uintptr) {
		for _, part := range []struct {
			text  string
			flags int
		}{{"before", unix.MSG_MORE}, {"!", unix.MSG_OOB}, {"after", 0}} {
			require.NoError(t, unix.Sendto(int(fd), []byte(part.text), part.flags, nil))
		}
	}))
	var got []byte
	for len(got) < len("beforeafter") {
		m, ok := await(t, s.Recv(), "what follows the urgent data")
		require.True(t, ok)
		got = append(got, m...)
	}
	require.Equal(t, "beforeafter", string(got))
}

func TestAPassedDescriptorDelaysNoSession(t *testing.T) {
	l := listenOn(t, t.Context(), "unix", unixPath(t), nil)
	s, peer := acceptedBy(t, l)
	_, _, err := peer.(*net.UnixConn).WriteMsgUnix([]byte("with it "), unix.UnixRights(0), nil)
	require.NoError(t, err)
	_, err = peer.Write([]byte("and after it"))
	require.NoError(t, err)
	var got []byte
	for len(got) < len("with it and after it") {
		m, ok := await(t, s.Recv(), "what follows the descriptor")
		require.True(t, ok)
		got = append(got, m...)
	}
	require.Equal(t, "with it and after it", string(got))
}

func TestASessionEndsAsOthersDo(t *testing.T) {
	cause := errors.New("no more")
	for _, test := range []struct {
		name string
		end  func(l *chanio.Listener, s *chanio.Session)
		want error
	}{
		{"Close", func(_ *chanio.Listener, s *chanio.Session) { go s.Close() }, nil},
		{"Abort", func(_ *chanio.Listener, s *chanio.Session) { s.Abort(cause) }, cause},
		{"DisconnectAll", func(l *chanio.Listener, _ *chanio.Session) { l.DisconnectAll() }, chanio.ErrClosed},
		{"Shutdown", func(l *chanio.Listener, _ *chanio.Session) { go l.Shutdown(context.Background()) }, nil},
	} {
		for _, state := range []string{"parked", "delivering"} {
			t.Run(test.name+"/"+state, func(t *testing.T) {
				eachStream(t, func(t *testing.T, l *chanio.Listener, s *chanio.Session, peer net.Conn) {
					if state == "delivering" { // more than is received
						go peer.Write(noise(4 << 20))
						await(t, s.Recv(), "a message")
					}
					test.end(l, s)
					for {
						if _, ok := await(t, s.Recv(), "the end of Recv"); !ok {
							break
						}
					}
					if test.want == nil {
						go s.Close()
						peer.Close()
					}
					awaitDone(t, s)
					if test.want != nil {
						require.ErrorIs(t, s.Err(), test.want)
					}
				})
			})
		}
	}
}

func TestATLSPeerThatReadsNothingDelaysNoOther(t *testing.T) {
	// crypto/tls answers a key update from its read path.
	config, _ := testTLS(t)
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", &chanio.Options{TLS: config})
	peer := dialRecordPeer(t, l.Addr())
	s, _ := await(t, l.Sessions(), "a session")
	other, conn := acceptedBy(t, l)
	go sendBack(other)
	want := noise(16 << 20) // more than kernels hold
	put := make(chan error, 1)
	go func() { put <- s.Put(bytes.Clone(want)) }()
	const rounds = 15 // a client of crypto/tls takes no more updates than 16 in a row
	for i := range rounds {
		peer.send(t, peer.keyUpdate(t, true), peer.record(recordData, []byte{byte(i)}))
		require.Equal(t, []byte{byte(i)}, receiveN(t, s, 1))
		_, err := conn.Write([]byte{byte(i)})
		require.NoError(t, err)
		b := make([]byte, 1)
		_, err = io.ReadFull(conn, b)
		require.NoError(t, err)
		require.Equal(t, byte(i), b[0])
	}
	got := make([]byte, len(want))
	_, err := io.ReadFull(peer, got)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got))
	require.NoError(t, <-put)
}
