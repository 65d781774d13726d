package chanio_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"example.com/chanio"
)

// eachTightStream is eachStream with options of the test, over sockets whose
// kernel takes little at a time, so that a Put's own write is often partial.
func eachTightStream(t *testing.T, adjust func(o *chanio.Options), f func(t *testing.T, s *chanio.Session, peer net.Conn)) {
	for _, way := range streamListeners {
		for _, q := range queues {
			t.Run(way.name+"/"+q.name, func(t *testing.T) {
				o := q.o
				o.WriteBuffer, o.ReadBuffer = 4<<10, 4<<10
				if way.tls {
					o.TLS, _ = testTLS(t)
				}
				if adjust != nil {
					adjust(&o)
				}
				l := listenOn(t, t.Context(), way.network, anyAddress(t, way.network), &o)
				s, peer := acceptedBy(t, l)
				f(t, s, peer)
				require.NoError(t, l.Close())
			})
		}
	}
}

// answersOf runs a conversation with s until the peer's end, in which every
// message is put back.
var answersOf = []struct {
	name string
	run  func(s *chanio.Session)
}{
	{"messages", func(s *chanio.Session) {
		for m := range s.Recv() {
			s.Put(m)
		}
	}},
	{"copies", func(s *chanio.Session) {
		for m := range s.Recv() {
			s.Write(m)
		}
	}},
	{"batches", func(s *chanio.Session) {
		for b := range s.RecvBatch() {
			s.PutBatch(b)
		}
	}},
}

func TestAnAnswerNeedsNoWriter(t *testing.T) {
	for _, form := range answersOf {
		t.Run(form.name, func(t *testing.T) {
			eachStream(t, func(t *testing.T, _ *chanio.Listener, s *chanio.Session, peer net.Conn) {
				go form.run(s)
				for i := range 100 {
					question := fmt.Appendf(nil, "%3d", i)
					_, err := peer.Write(question)
					require.NoError(t, err)
					answer := make([]byte, len(question))
					_, err = io.ReadFull(peer, answer)
					require.NoError(t, err)
					require.Equal(t, string(question), string(answer))
				}
				require.False(t, s.HasWriter())
				require.False(t, s.HasSendQueue(), "an idle session keeps no queue that it did not need")
				awaitSent(t, s, 100)
				require.NoError(t, s.Flush(t.Context()))
				st := s.Stats()
				require.EqualValues(t, 300, st.BytesSent)
				require.Zero(t, st.BytesPending)
			})
		})
	}
}

// awaitSent waits until s has counted that many messages: the peer may have the last
// one before the Put that wrote it has.
func awaitSent(t *testing.T, s *chanio.Session, messages int64) {
	t.Helper()
	require.Eventually(t, func() bool { return s.Stats().MessagesSent == messages }, patience, time.Millisecond)
}

// A udp listener's session likewise.
func TestAnAnswerToADatagramNeedsNoWriter(t *testing.T) {
	for _, form := range answersOf {
		t.Run(form.name, func(t *testing.T) {
			l := listenUDP(t, nil)
			peer := connectTo(t, l)
			_, err := peer.Write([]byte("  0"))
			require.NoError(t, err)
			s := nextSession(t, l)
			go form.run(s)
			require.Equal(t, "  0", hear(t, peer))
			for i := range 100 {
				question := fmt.Sprintf("%3d", i)
				require.Equal(t, question, ask(t, peer, question))
			}
			require.False(t, s.HasWriter())
			awaitSent(t, s, 101)
			require.NoError(t, s.Flush(t.Context()))
			st := s.Stats()
			require.EqualValues(t, 303, st.BytesSent)
			require.Zero(t, st.BytesPending)
			require.NoError(t, s.Close())
		})
	}
}

func TestOnlyTheFirstPutAfterADeliveryWritesByItself(t *testing.T) {
	// The others are left to the writer, which coalesces them.
	eachStream(t, func(t *testing.T, _ *chanio.Listener, s *chanio.Session, peer net.Conn) {
		require.NoError(t, s.Put([]byte("1")))
		require.False(t, s.HasWriter())
		require.NoError(t, s.Put([]byte("2")))
		require.True(t, s.HasWriter())
		hearBytes(t, peer, "12")

		ask := func() {
			_, err := peer.Write([]byte("?"))
			require.NoError(t, err)
			await(t, s.Recv(), "a message")
		}
		ask()
		takeTurn(t, s) // after a delivery
		require.Nil(t, s.TakeTurn(), "the second")
		ask()
		s.Send() // from now on the user may send unseen
		require.Nil(t, s.TakeTurn())
	})
}

// takeTurn takes the turn of s, whose writer is about to park, and gives it back.
func takeTurn(t *testing.T, s *chanio.Session) {
	t.Helper()
	var write func(m []byte, b *chanio.Batch)
	require.Eventually(t, func() bool { write = s.TakeTurn(); return write != nil }, patience, time.Millisecond)
	write(nil, nil)
}

// hearBytes requires that the peer reads want next.
func hearBytes(t *testing.T, peer net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	_, err := io.ReadFull(peer, got)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

// chatter makes the peer send all the time, and drains s, so that Puts may write
// by themselves again and again. The peer stops at the end of the test.
func chatter(s *chanio.Session, peer net.Conn) {
	go func() {
		for range s.Recv() {
		}
	}()
	go func() {
		for {
			if _, err := peer.Write([]byte("?\n")); err != nil {
				return
			}
		}
	}()
}

func TestPutsAndSendsOfOneGoroutineKeepTheirOrder(t *testing.T) {
	eachTightStream(t, nil, func(t *testing.T, s *chanio.Session, peer net.Conn) {
		chatter(s, peer)
		const messages = 600
		var want []byte
		message := func(i int) []byte {
			m := fmt.Appendf(nil, "%d\n", i)
			if i%50 == 0 { // more than the kernel takes at once
				m = append(m, bytes.Repeat([]byte("x"), 40<<10)...)
			}
			return m
		}
		for i := range messages {
			want = append(want, message(i)...)
		}
		go func() {
			for i := range messages {
				switch {
				case i%3 == 0:
					s.Write(message(i))
				case i%3 == 1 || i < messages/2:
					s.Put(message(i))
				default:
					s.Send() <- message(i)
				}
			}
			s.CloseWrite()
		}()
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
	})
}

func TestConcurrentPutsStayWholeAndInEachSendersOrder(t *testing.T) {
	const each = 300
	lines := func(o *chanio.Options) { o.Framing = chanio.Lines{} }
	eachTightStream(t, lines, func(t *testing.T, s *chanio.Session, peer net.Conn) {
		chatter(s, peer)
		hub := chanio.NewHub(t.Context(), nil)
		require.NoError(t, hub.Join(s))
		var all errgroup.Group
		for name, put := range map[string]func(m []byte) error{
			"put": s.Put, "hub": hub.Multicast,
			"write": func(m []byte) error { _, err := s.Write(m); return err },
			"batch": func(m []byte) error {
				b := chanio.NewBatch()
				b.Append(m)
				b.Append(append([]byte("second of "), m...))
				return s.PutBatch(b)
			},
		} {
			all.Go(func() error {
				for i := range each {
					if err := put(fmt.Appendf(nil, "%s %d %s", name, i, strings.Repeat("x", i%7*i))); err != nil {
						return err
					}
				}
				return nil
			})
		}
		result := make(chan error, 1)
		go func() { result <- errors.Join(all.Wait(), s.CloseWrite()) }()
		next := make(map[string]int)
		in := bufio.NewScanner(peer)
		for in.Scan() {
			line, second := strings.CutPrefix(in.Text(), "second of ")
			name, i, length := "", 0, ""
			_, err := fmt.Sscanf(line+" .", "%s %d %s", &name, &i, &length)
			require.NoError(t, err, line)
			if second {
				name = "second of " + name
			}
			require.Equal(t, next[name], i, name)
			require.Equal(t, i%7*i, strings.Count(length, "x"))
			next[name]++
		}
		require.NoError(t, in.Err())
		require.NoError(t, <-result)
		require.Equal(t, map[string]int{"put": each, "hub": each, "write": each, "batch": each, "second of batch": each}, next)
	})
}

func TestAPutDoesNotWaitForAPeerThatTakesNothing(t *testing.T) {
	eachTightStream(t, nil, func(t *testing.T, s *chanio.Session, peer net.Conn) {
		want := noise(1 << 20)
		require.NoError(t, s.Put(slices.Clone(want)))
		require.Eventually(t, func() bool {
			st := s.Stats()
			return st.BytesSent+st.BytesPending == int64(len(want)) && st.BytesPending > 0
		}, patience, time.Millisecond)
		got := make([]byte, len(want))
		_, err := io.ReadFull(peer, got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
		require.NoError(t, s.Flush(t.Context()))
		require.EqualValues(t, len(want), s.Stats().BytesSent)
		require.Zero(t, s.Stats().BytesPending)
	})
}

func TestAPutsUnwrittenBytesAreCountedAsUndelivered(t *testing.T) {
	eachTightStream(t, nil, func(t *testing.T, s *chanio.Session, _ net.Conn) {
		const size = 1 << 20
		require.NoError(t, s.Put(make([]byte, size)))
		s.Abort(nil)
		awaitDone(t, s)
		requireAllIsCounted(t, s, size)
		require.Positive(t, s.Stats().Undelivered)
	})
}

func TestAPutDuringTheEndOfTheSessionIsCounted(t *testing.T) {
	for _, form := range []struct {
		name   string
		accept func(write func(m []byte, b *chanio.Batch))
	}{
		{"message", func(write func([]byte, *chanio.Batch)) { write([]byte("late"), nil) }},
		{"batch", func(write func([]byte, *chanio.Batch)) { write(nil, batchOf("la", "te")) }},
	} {
		t.Run(form.name, func(t *testing.T) {
			eachStream(t, func(t *testing.T, _ *chanio.Listener, s *chanio.Session, _ net.Conn) {
				leave, ok := s.EnterPut()
				require.True(t, ok)
				s.Abort(nil)
				write := s.TakeTurn()
				require.NotNil(t, write)
				form.accept(write)
				leave()
				awaitDone(t, s)
				requireAllIsCounted(t, s, int64(len("late")))
			})
		})
	}
}

func TestAPutThatFailsEndsTheSendingAsTheWriterDoes(t *testing.T) {
	// Recv has not been called, so the reader has not seen the peer's end.
	eachSocket(t, func(t *testing.T, conn, peer net.Conn) {
		s := chanio.NewSession(context.Background(), conn, &chanio.Options{Framing: chanio.Lines{}})
		_, err := peer.Write([]byte("question\n"))
		require.NoError(t, err)
		require.Eventually(t, func() bool { return s.Stats().BytesReceived > 0 }, patience, time.Millisecond)
		require.NoError(t, peer.Close())
		for err = nil; err == nil; { // the first one makes the peer's kernel say that it has gone
			err = s.Put([]byte("answer"))
			s.AllowAnswer()
		}
		require.ErrorIs(t, err, chanio.ErrClosed)
		require.NoError(t, s.Err(), "what the peer sent is still read")
		m, _ := await(t, s.Recv(), "what the peer sent")
		require.Equal(t, "question", string(m))
		_, ok := await(t, s.Recv(), "the end")
		require.False(t, ok)
		awaitDone(t, s)
		require.Error(t, s.Err())
		require.Positive(t, s.Stats().Undelivered)
	})
}

func TestRepliesOfAFramingGoOutAheadOfAPut(t *testing.T) {
	eachSocket(t, func(t *testing.T, conn, peer net.Conn) {
		s := chanio.NewSession(t.Context(), conn, &chanio.Options{Framing: talk{}})
		defer s.Abort(nil)
		go func() {
			for m := range s.Recv() {
				s.Put(m)
			}
		}()
		r := bufio.NewReader(peer)
		for range 100 {
			say(t, peer, "PING a\nMSG hello\n")
			hears(t, r, "PONG a")
			hears(t, r, "MSG hello")
		}
	})
}

func TestAReplyThatComesWhileAMessageIsAboutToBeWrittenGoesFirst(t *testing.T) {
	eachSocket(t, func(t *testing.T, conn, peer net.Conn) {
		s := chanio.NewSession(t.Context(), conn, &chanio.Options{Framing: talk{}})
		defer s.Abort(nil)
		write := s.TakeTurn()
		say(t, peer, "PING a\n")
		require.Eventually(t, s.OwesReply, patience, time.Millisecond)
		write([]byte("hello"), nil) // it may answer what arrived after the ping
		r := bufio.NewReader(peer)
		hears(t, r, "PONG a")
		hears(t, r, "MSG hello")
	})
}
