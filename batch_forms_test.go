package chanio_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

// A messageForm is a way to receive and to send: one by one, or in batches.
type messageForm struct {
	name string
	recv func(s *chanio.Session) (messages []string, open bool) // what comes next
	put  func(s *chanio.Session, messages ...string) error
	send func(s *chanio.Session, messages ...string) bool // false if the session is over
}

var messageForms = []messageForm{
	{
		"messages",
		func(s *chanio.Session) ([]string, bool) {
			m, ok := <-s.Recv()
			if !ok {
				return nil, false
			}
			return []string{string(m)}, true
		},
		func(s *chanio.Session, messages ...string) error {
			for _, m := range messages {
				if err := s.Put([]byte(m)); err != nil {
					return err
				}
			}
			return nil
		},
		func(s *chanio.Session, messages ...string) bool {
			for _, m := range messages {
				select {
				case s.Send() <- []byte(m):
				case <-s.Done():
					return false
				}
			}
			return true
		},
	}, {
		"batches",
		func(s *chanio.Session) ([]string, bool) {
			b, ok := <-s.RecvBatch()
			if !ok {
				return nil, false
			}
			defer b.Release()
			return messagesOf(b), true
		},
		func(s *chanio.Session, messages ...string) error { return s.PutBatch(batchOf(messages...)) },
		func(s *chanio.Session, messages ...string) bool {
			select {
			case s.SendBatch() <- batchOf(messages...):
				return true
			case <-s.Done():
				return false
			}
		},
	},
}

// eachForm runs test for both forms, and for each set of queues.
func eachForm(t *testing.T, test func(t *testing.T, f messageForm, o chanio.Options)) {
	for _, f := range messageForms {
		for _, q := range queues {
			t.Run(f.name+"/"+q.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { test(t, f, q.o) })
			})
		}
	}
}

// all receives to the end.
func (f messageForm) all(s *chanio.Session) (messages []string) {
	for {
		m, open := f.recv(s)
		if !open {
			return messages
		}
		messages = append(messages, m...)
	}
}

func lines(n int) (messages []string) {
	for i := range n {
		messages = append(messages, fmt.Sprint("message ", i))
	}
	return messages
}

func TestInEitherFormAllThatThePeerSentIsDeliveredInOrderAndThenTheEnd(t *testing.T) {
	eachForm(t, func(t *testing.T, f messageForm, o chanio.Options) {
		o.Framing = chanio.Lines{}
		s, peer := memSession(t, &o)
		var wire []byte
		for _, m := range lines(300) {
			wire = append(wire, m+"\n"...)
		}
		go func() {
			for p := wire; len(p) > 0; p = p[min(len(p), 1000):] {
				peer.Write(p[:min(len(p), 1000)])
			}
			peer.CloseWrite()
		}()
		require.Equal(t, lines(300), f.all(s))
		require.NoError(t, s.Err())
		require.EqualValues(t, 300, s.Stats().MessagesReceived)
		require.EqualValues(t, len(wire), s.Stats().BytesReceived)
		require.NoError(t, s.Close())
	})
}

func TestInEitherFormWhatIsPutIsSentInOrder(t *testing.T) {
	for _, framing := range []chanio.Framing{nil, chanio.Lines{}, chanio.Lines{CRLF: true}, chanio.LengthPrefix{Varint: true}, netstring{}} {
		t.Run(fmt.Sprintf("%T%v", framing, framing), func(t *testing.T) {
			eachForm(t, func(t *testing.T, f messageForm, o chanio.Options) {
				o.Framing = framing
				s, peer := memSession(t, &o)
				got := make(chan []byte)
				go func() { p, _ := io.ReadAll(peer); got <- p }()
				var want []byte
				for i := range 30 {
					messages := lines(1 + i*i)
					if i == 20 {
						messages = []string{string(bytes.Repeat([]byte("x"), 300_000)), "", "y"}
					}
					for _, m := range messages {
						if framing == nil {
							want = append(want, m...)
						} else {
							want, _ = framing.AppendFrame(want, []byte(m))
						}
					}
					if i%2 == 0 {
						require.NoError(t, f.put(s, messages...))
					} else {
						require.True(t, f.send(s, messages...))
					}
				}
				require.NoError(t, s.Flush(t.Context()))
				require.EqualValues(t, len(want), s.Stats().BytesSent)
				require.NoError(t, s.CloseWrite())
				require.True(t, bytes.Equal(want, <-got))
				require.Zero(t, s.Stats().Undelivered)
				peer.Close()
				<-s.Done()
				require.NoError(t, s.Err())
			})
		})
	}
}

func TestInEitherFormAPeerThatIsNotReadFromIsHeldBack(t *testing.T) {
	eachForm(t, func(t *testing.T, f messageForm, o chanio.Options) {
		o.Framing = chanio.Lines{}
		a, b := net.Pipe()
		s := chanio.NewSession(t.Context(), b, &o)
		defer func() { s.Abort(nil); a.Close(); <-s.Done() }()
		f.recv2(s) // decides
		wrote := 0
		go func() {
			line := append(bytes.Repeat([]byte("x"), 999), '\n')
			for {
				n, err := a.Write(line)
				if wrote += n; err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		_, room := s.Queued()
		require.Less(t, wrote, (room+3)*1000+3*chanio.BlockSize)
		time.Sleep(time.Hour)
		require.NoError(t, s.Err())
	})
}

// recv2 asks for messages without receiving one.
func (f messageForm) recv2(s *chanio.Session) {
	if f.name == "batches" {
		s.RecvBatch()
	} else {
		s.Recv()
	}
}

func TestInEitherFormWhatIsNotSentIsUndelivered(t *testing.T) {
	eachForm(t, func(t *testing.T, f messageForm, o chanio.Options) {
		o.Framing = chanio.LengthPrefix{}
		a, b := net.Pipe() // nothing reads a
		s := chanio.NewSession(t.Context(), b, &o)
		messages := lines(10)
		const frames = 10 * (4 + len("message 0"))
		require.NoError(t, f.put(s, messages[0]))
		go f.put(s, messages[1:]...)
		synctest.Wait()
		s.Abort(os.ErrInvalid)
		<-s.Done()
		require.ErrorIs(t, s.Err(), os.ErrInvalid)
		require.Positive(t, s.Stats().Undelivered)
		require.LessOrEqual(t, s.Stats().Undelivered, int64(frames))
		require.ErrorIs(t, s.Flush(t.Context()), chanio.ErrClosed)
		require.ErrorIs(t, f.put(s, "late"), chanio.ErrClosed)
		require.EqualValues(t, 0, s.Stats().BytesPending)
		a.Close()
	})
}

func TestInEitherFormAPeerThatTakesNothingEndsTheSessionWithinWriteTimeout(t *testing.T) {
	eachForm(t, func(t *testing.T, f messageForm, o chanio.Options) {
		a, b := net.Pipe()
		defer a.Close()
		s := chanio.NewSession(t.Context(), b, &o)
		began := time.Now()
		for f.send(s, "a", "b", "c") {
		}
		require.Equal(t, 10*time.Second, time.Since(began))
		require.ErrorIs(t, s.Err(), os.ErrDeadlineExceeded)
	})
}

func TestInEitherFormMessageTimeoutAndMaxMessageHold(t *testing.T) {
	eachForm(t, func(t *testing.T, f messageForm, o chanio.Options) {
		o.Framing, o.MaxMessage = chanio.Lines{}, 10
		s, peer := memSession(t, &o)
		began := time.Now()
		peer.Write([]byte("whole\npart"))
		require.Equal(t, []string{"whole"}, f.all(s))
		require.Equal(t, 30*time.Second, time.Since(began))
		require.ErrorIs(t, s.Err(), os.ErrDeadlineExceeded)

		s, peer = memSession(t, &o)
		peer.Write([]byte("whole\n0123456789\n0123456789x"))
		require.Equal(t, []string{"whole", "0123456789"}, f.all(s))
		require.ErrorIs(t, s.Err(), chanio.ErrMessageTooLarge)
	})
}

func TestInEitherFormAnErrorOfTheFramingLeavesTheOutputOpen(t *testing.T) {
	for _, end := range []struct {
		name string
		say  func(peer *chaniotest.Conn)
		want error
	}{
		{"too large", func(peer *chaniotest.Conn) { peer.Write([]byte("good\n0123456789x")) }, chanio.ErrMessageTooLarge},
		{"cut off", func(peer *chaniotest.Conn) { peer.Write([]byte("good\n01")); peer.CloseWrite() }, io.ErrUnexpectedEOF},
	} {
		t.Run(end.name, func(t *testing.T) {
			eachForm(t, func(t *testing.T, f messageForm, o chanio.Options) {
				o.Framing, o.MaxMessage = chanio.Lines{}, 10
				s, peer := memSession(t, &o)
				end.say(peer)
				require.Equal(t, []string{"good"}, f.all(s))
				require.ErrorIs(t, s.Err(), end.want, "told when Recv is closed")
				peer.Write([]byte("more that is thrown away\n"))
				time.Sleep(time.Second)
				require.NoError(t, f.put(s, "an answer"))
				require.NoError(t, s.CloseWrite())
				got, err := io.ReadAll(peer)
				require.NoError(t, err)
				require.Equal(t, "an answer\n", string(got))
				<-s.Done()
				require.ErrorIs(t, s.Err(), end.want)
				require.Zero(t, s.Stats().Undelivered)
			})
		})
	}
}

func TestInEitherFormCloseFlushesAndStopsReceiving(t *testing.T) {
	eachForm(t, func(t *testing.T, f messageForm, o chanio.Options) {
		o.Framing = chanio.Lines{}
		s, peer := memSession(t, &o)
		f.recv2(s)
		go func() {
			for range 50 {
				peer.Write([]byte("never received\n"))
			}
		}()
		synctest.Wait()
		got := make(chan []byte)
		go func() { p, _ := io.ReadAll(peer); peer.Close(); got <- p }()
		require.NoError(t, f.put(s, "last", "words"))
		require.NoError(t, s.Close())
		require.Equal(t, "last\nwords\n", string(<-got))
		f.all(s)
	})
}
