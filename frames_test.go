package chanio_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/memory"
)

// writeInPieces writes p to conn in pieces of random sizes up to limit.
func writeInPieces(conn net.Conn, p []byte, limit int, rng *rand.Rand) error {
	for len(p) > 0 {
		n := min(len(p), 1+rng.IntN(limit))
		if _, err := conn.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func TestFramedMessagesArriveWholeHoweverTheStreamIsCut(t *testing.T) {
	for _, f := range []chanio.Framing{chanio.Lines{}, chanio.Delimiter{Byte: 0}, chanio.LengthPrefix{Size: 1}, chanio.LengthPrefix{Size: 2, LittleEndian: true, IncludesHeader: true}, chanio.LengthPrefix{Size: 4}, chanio.LengthPrefix{Size: 8}, chanio.LengthPrefix{Varint: true}} {
		for _, cut := range []int{1, 3, 100, 5000, 100000} {
			for _, q := range queues {
				t.Run(fmt.Sprintf("%T%v/cut %d/%s", f, f, cut, q.name), func(t *testing.T) {
					rng := rand.New(rand.NewPCG(1, uint64(cut)))
					o := q.o
					o.Framing = f
					a, b := net.Pipe()
					s := chanio.NewSession(context.Background(), b, &o)
					defer s.Close()
					sizes := []int{0, 1, 2, 31, 32, 127, 128, 129, 200, 255}
					if f != (chanio.LengthPrefix{Size: 1}) && cut >= 100 {
						sizes = append(sizes, 4000, 60000)
					}
					var want [][]byte
					var wire []byte
					for range 40 {
						m := bytes.Repeat([]byte{byte('a' + rng.IntN(26))}, sizes[rng.IntN(len(sizes))])
						var err error
						wire, err = f.AppendFrame(wire, m)
						require.NoError(t, err)
						want = append(want, m)
					}
					sent := make(chan error, 1)
					go func() {
						defer a.Close()
						sent <- writeInPieces(a, wire, cut, rng)
					}()
					for i, m := range want {
						got, ok := <-s.Recv()
						require.True(t, ok, "message %d: %v", i, s.Err())
						require.True(t, bytes.Equal(m, got), "message %d: %d bytes, want %d", i, len(got), len(m))
						require.Equal(t, len(got), cap(got))
					}
					require.NoError(t, <-sent)
					_, ok := <-s.Recv()
					require.False(t, ok)
				})
			}
		}
	}
}

// framedPair returns a session under o, which is in a bubble, and its peer's
// end.
func framedPair(t *testing.T, o *chanio.Options) (*chanio.Session, net.Conn) {
	t.Helper()
	a, b := net.Pipe()
	s := chanio.NewSession(t.Context(), b, o)
	t.Cleanup(func() { s.Abort(nil); <-s.Done(); a.Close() })
	return s, a
}

func TestAMessageMustBeWholeWithinMessageTimeoutOfItsFirstByte(t *testing.T) {
	for _, tt := range []struct {
		name  string
		begun string // what arrives at once
		pace  time.Duration
		rest  string // and then byte by byte
		whole int    // how many messages come of it
		ends  time.Duration
	}{
		{"never ended", "abc", 0, "", 0, 30 * time.Second},
		{"dribbled", "a", 10 * time.Second, "bcdefgh\n", 0, 30 * time.Second},
		{"after a whole one", "first\nsec", 0, "", 1, 30 * time.Second},
		{"each in time", "a", 20 * time.Second, "\nb\nc\n", 3, 0},
		{"nothing begun", "a\n", 0, "", 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, conn := framedPair(t, &chanio.Options{Framing: chanio.Lines{}})
				began := time.Now()
				var peer sync.WaitGroup
				defer peer.Wait()
				peer.Go(func() {
					conn.Write([]byte(tt.begun))
					for _, c := range tt.rest {
						time.Sleep(tt.pace)
						conn.Write([]byte(string(c)))
					}
					if tt.ends == 0 {
						time.Sleep(time.Hour)
						conn.Close()
					}
				})
				whole := 0
				for range s.Recv() {
					whole++
				}
				require.Equal(t, tt.whole, whole)
				if tt.ends == 0 {
					require.NoError(t, s.Err())
					return
				}
				require.Equal(t, tt.ends, time.Since(began))
				require.ErrorIs(t, s.Err(), os.ErrDeadlineExceeded)
				require.ErrorContains(t, s.Err(), "MessageTimeout")
			})
		})
	}
}

func TestTimeWithoutAReceiverDoesNotCountAgainstThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conn := framedPair(t, &chanio.Options{Framing: chanio.Lines{}, RecvQueue: -1})
		go func() {
			conn.Write([]byte("one\ntwo\nthr"))
			conn.Write([]byte("ee\n"))
		}()
		for _, want := range []string{"one", "two", "three"} {
			time.Sleep(time.Hour)
			require.Equal(t, want, string(<-s.Recv()))
		}
	})
}

func TestAMessagePastMaxMessageEndsTheSessionAndIsNotHeld(t *testing.T) {
	header := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	for _, tt := range []struct {
		name string
		f    chanio.Framing
		wire []byte
		ok   bool
	}{
		{"a header of 4 GiB", chanio.LengthPrefix{Size: 8}, header(4 << 30), false},
		{"a header that no int holds", chanio.LengthPrefix{Size: 8}, header(math.MaxUint64), false},
		{"one byte too many", chanio.LengthPrefix{Size: 8}, header(1001), false},
		{"exactly the limit", chanio.LengthPrefix{Size: 8}, append(header(1000), make([]byte, 1000)...), true},
		{"a line too long", chanio.Lines{}, bytes.Repeat([]byte("x"), 1010), false},
		{"a line of the limit", chanio.Lines{}, append(bytes.Repeat([]byte("x"), 1000), '\r', '\n'), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, conn := framedPair(t, &chanio.Options{Framing: tt.f, MaxMessage: 1000})
				began := time.Now()
				go conn.Write(tt.wire)
				m, ok := <-s.Recv()
				require.Equal(t, tt.ok, ok)
				if ok {
					require.Len(t, m, 1000)
					return
				}
				require.ErrorIs(t, s.Err(), chanio.ErrMessageTooLarge)
				require.Equal(t, began, time.Now(), "at once")
			})
		})
	}
}

func TestAPartialMessageAtTheEndOfTheStreamIsAnError(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    chanio.Framing
		wire string
		want []string
		err  error
	}{
		{"nothing", chanio.Lines{}, "a\n", []string{"a"}, nil},
		{"a line without its end", chanio.Lines{}, "a\nPAY 1000", []string{"a"}, io.ErrUnexpectedEOF},
		{"a line of which the LF is missing", chanio.Lines{}, "a\nb\r", []string{"a"}, io.ErrUnexpectedEOF},
		{"an unterminated line", chanio.Lines{Unterminated: true}, "a\nb", []string{"a", "b"}, nil},
		{"a message without its delimiter", chanio.Delimiter{}, "a\x00b", []string{"a"}, io.ErrUnexpectedEOF},
		{"an unterminated message", chanio.Delimiter{Unterminated: true}, "a\x00b", []string{"a", "b"}, nil},
		{"only a delimiter", chanio.Delimiter{}, "\x00", []string{""}, nil},
		{"half a header", chanio.LengthPrefix{Size: 2}, "\x00\x01a\x00", []string{"a"}, io.ErrUnexpectedEOF},
		{"half a message", chanio.LengthPrefix{Size: 2}, "\x00\x01a\x00\x03bc", []string{"a"}, io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, conn := framedPair(t, &chanio.Options{Framing: tt.f})
				go func() {
					conn.Write([]byte(tt.wire))
					conn.Close()
				}()
				var got []string
				for m := range s.Recv() {
					got = append(got, string(m))
				}
				require.Equal(t, tt.want, got)
				if tt.err == nil {
					require.NoError(t, s.Err())
				} else {
					require.ErrorIs(t, s.Err(), tt.err)
				}
			})
		})
	}
}

func TestAnUnframeableMessageIsTheSendersErrorAndIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conn := framedPair(t, &chanio.Options{Framing: chanio.Lines{}})
		lines := bufio.NewScanner(conn)
		require.Error(t, s.Put([]byte("a\nb")))
		_, err := s.Write([]byte("c\nd"))
		require.Error(t, err)
		require.NoError(t, s.Put([]byte("good")))
		require.True(t, lines.Scan())
		require.Equal(t, "good", lines.Text())

		s.Send() <- []byte("e\nf")
		require.False(t, lines.Scan())
		<-s.Done()
		require.Error(t, s.Err())
		require.ErrorContains(t, s.Err(), "write")
		require.EqualValues(t, 3, s.Stats().Undelivered)
	})
}

func TestFramedSessionsSendEachMessageInItsFrame(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			o := q.o
			o.Framing = chanio.LengthPrefix{Size: 4}
			l := listenTCP(t, &o)
			conn, s := joinTCP(t, l)
			var want [][]byte
			go func() {
				for _, n := range []int{0, 1, 32, 5000, 70_000, 1 << 20, 3, 0} {
					m := bytes.Repeat([]byte{byte(n)}, n)
					if n%2 == 0 {
						l.Multicast(m)
						s.Flush(t.Context())
					} else {
						s.Put(m)
						s.Flush(t.Context())
					}
				}
				s.CloseWrite()
			}()
			for _, n := range []int{0, 1, 32, 5000, 70_000, 1 << 20, 3, 0} {
				want = append(want, bytes.Repeat([]byte{byte(n)}, n))
			}
			for i, m := range want {
				var n uint32
				require.NoError(t, binary.Read(conn, binary.BigEndian, &n))
				got := make([]byte, n)
				_, err := io.ReadFull(conn, got)
				require.NoError(t, err)
				require.True(t, bytes.Equal(m, got), "message %d has %d bytes, want %d", i, len(got), len(m))
			}
			_, err := conn.Read(make([]byte, 1))
			require.Equal(t, io.EOF, err)
		})
	}
}

func TestFramingWorksOverTLSAndForDialAndConnect(t *testing.T) {
	server, client := testTLS(t)
	l := listenTCP(t, &chanio.Options{TLS: server, Framing: chanio.Lines{}})
	o := &chanio.Options{TLS: client, Framing: chanio.Lines{}}
	c := chanio.Connect(t.Context(), "tcp", l.Addr().String(), o)
	defer c.Close()
	d, err := chanio.Dial(t.Context(), "tcp", l.Addr().String(), o)
	require.NoError(t, err)
	defer d.Abort(nil)
	for _, s := range []*chanio.Session{<-c.Sessions(), d} {
		require.NoError(t, s.Put([]byte("hello")))
		require.NoError(t, s.Put(nil))
	}
	for range 2 {
		s := <-l.Sessions()
		require.Equal(t, "hello", string(<-s.Recv()))
		require.Empty(t, <-s.Recv())
	}
	require.NoError(t, l.Multicast([]byte("all")))
	require.Equal(t, "all", string(<-d.Recv()))
}

func TestAHubOfAnotherFramingFramesAsItsMembersDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, peer := framedPair(t, &chanio.Options{Framing: chanio.Lines{}})
		h := chanio.NewHub(t.Context(), &chanio.Options{Framing: chanio.LengthPrefix{Size: 4}})
		defer h.Close()
		require.NoError(t, h.Join(s))
		require.NoError(t, h.Multicast([]byte("a line")))
		read(t, peer, "a line\n")
		require.Error(t, h.Multicast(make([]byte, 32<<20)), "past MaxLag")
	})
}

// keyed is a Framing with a function in it.
type keyed struct {
	chanio.Lines
	key func() []byte
}

func TestAFramingWithAFunctionInItIsTheSameAsItself(t *testing.T) {
	o := &chanio.Options{Framing: keyed{key: func() []byte { return nil }}}
	l := listenTCP(t, o)
	conn, s := joinTCP(t, l)
	require.Equal(t, 1, l.Hub().Len(), "the listener's own hub")
	h := testHub(t, o)
	require.NoError(t, h.Join(s), "a hub of the same options")
	require.NoError(t, l.Multicast([]byte("one")))
	read(t, conn, "one\n")
	require.NoError(t, h.Multicast([]byte("two")))
	read(t, conn, "two\n")

	other := testHub(t, &chanio.Options{Framing: keyed{key: func() []byte { return nil }}})
	require.NoError(t, other.Join(s))
	require.True(t, other.HasOtherFeeds(), "nothing can tell that it is the same: it has a log of its own")
	require.NoError(t, other.Multicast([]byte("three")))
	read(t, conn, "three\n")
	require.False(t, h.HasOtherFeeds())
	framing := &keyed{key: func() []byte { return nil }}
	pointed, _ := memSession(t, &chanio.Options{Framing: framing})
	require.NoError(t, testHub(t, &chanio.Options{Framing: framing}).Join(pointed), "one pointer")
}

// A slow framed peer may hold only what has arrived: many sessions that each
// got the head of a large message must not cost as much as its header claims.
func TestALargeHeaderCostsNothingUntilItsBytesArrive(t *testing.T) {
	const sessions, claimed = 50, 1 << 20
	before := memory.Live()
	for range sessions {
		a, b := net.Pipe()
		s := chanio.NewSession(t.Context(), b, &chanio.Options{Framing: chanio.LengthPrefix{Size: 4}})
		defer func() { s.Abort(nil); <-s.Done(); a.Close() }()
		_, err := a.Write(binary.BigEndian.AppendUint32(nil, claimed))
		require.NoError(t, err)
		_, err = a.Write(make([]byte, 100)) // read only once the header has been
		require.NoError(t, err)
	}
	require.Less(t, memory.Live()-before, int64(sessions*claimed/10))
}
