package chanio_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

// talk is a SessionFraming of lines. The first word says what each line is: MSG
// is a message, PART a part of one, PING is answered by a PONG, BYE ends the
// conversation, and anything else is an error.
type talk struct{ tag string }

func (talk) AppendFrame(dst, message []byte) ([]byte, error) {
	return append(append(append(dst, "MSG "...), message...), '\n'), nil
}

func (talk) Next([]byte, int) ([]byte, int, error) {
	return nil, 0, errors.New("a session must read by its own reader")
}
func (talk) Accepts([]byte) error          { return nil }
func (talk) NewReader() chanio.FrameReader { return new(talkReader) }

type talkReader struct {
	parts   []byte
	partial bool
	said    bool // BYE
}

func (r *talkReader) Next(buf []byte, _ int) (message []byte, n int, reply []byte, err error) {
	i := bytes.IndexByte(buf, '\n')
	if i < 0 {
		return nil, 0, nil, nil
	}
	word, rest, _ := bytes.Cut(buf[:i], []byte(" "))
	switch string(word) {
	case "MSG":
		m := append(append([]byte{}, r.parts...), rest...)
		r.parts, r.partial = nil, false
		return m, i + 1, nil, nil
	case "PART":
		r.parts, r.partial = append(r.parts, rest...), true
		return nil, i + 1, nil, nil
	case "PING":
		return nil, i + 1, fmt.Appendf(nil, "PONG %s\n", rest), nil
	case "BYE":
		r.said = true
		return nil, 0, nil, io.EOF
	}
	return nil, 0, []byte("WHAT\n"), fmt.Errorf("unknown word %q", word)
}

func (r *talkReader) Ping() []byte { return []byte("PING\n") }

func (r *talkReader) Partial() bool { return r.partial }

func (r *talkReader) Final(rest []byte) error {
	if r.said && len(rest) == 0 {
		return nil
	}
	return io.ErrUnexpectedEOF
}

func (r *talkReader) End(cause error) []byte { return fmt.Appendf(nil, "BYE %v\n", cause) }

// talkPair returns a session that talks, and its peer.
func talkPair(t *testing.T, o chanio.Options) (*chanio.Session, *chaniotest.Conn, *bufio.Reader) {
	o.Framing = talk{}
	a, b := memPair()
	s := chanio.NewSession(t.Context(), b, &o)
	t.Cleanup(func() { s.Abort(nil); a.Close(); <-s.Done() })
	return s, a, bufio.NewReader(a)
}

func say(t *testing.T, conn io.Writer, lines string) {
	t.Helper()
	_, err := io.WriteString(conn, lines)
	require.NoError(t, err)
}

func hears(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	line, err := r.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, want+"\n", line)
}

func TestRepliesOfAFramingGoOutAheadOfWhatWaitsToBeSent(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer, r := talkPair(t, o)
		for i := range 3 {
			go s.Put(fmt.Appendf(nil, "%d", i))
			synctest.Wait()
		}
		say(t, peer, "PING a\n") // while the writer is blocked with the first message
		synctest.Wait()
		hears(t, r, "MSG 0")
		var rest []string
		for range 3 {
			line, err := r.ReadString('\n')
			require.NoError(t, err)
			rest = append(rest, strings.TrimSpace(line))
		}
		require.Equal(t, []string{"PONG a", "MSG 1", "MSG 2"}, rest)
	})
}

func TestAPeerThatTakesNoRepliesIsNotReadFrom(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.WriteTimeout = time.Minute
		s, peer, _ := talkPair(t, o)
		ping := []byte("PING " + strings.Repeat("x", 1000) + "\n")
		taken := 0
		peer.SetWriteDeadline(time.Now().Add(time.Second))
		for {
			n, err := peer.Write(ping)
			taken += n
			if err != nil {
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				break
			}
		}
		require.Less(t, taken, 8*chanio.MaxReplies)
		require.NoError(t, s.Err())
		go io.Copy(io.Discard, peer)
		synctest.Wait() // it goes on as soon as the peer takes them
		peer.SetWriteDeadline(time.Time{})
		say(t, peer, string(ping))
	})
}

func TestRepliesThatCanNoLongerBeSentDoNotStopTheReading(t *testing.T) {
	pings := strings.Repeat("PING "+strings.Repeat("x", 1000)+"\n", 4*chanio.MaxReplies/1000)
	for _, test := range []struct {
		name string
		end  func(t *testing.T, s *chanio.Session, peer *bufio.Reader)
		conn func(*chaniotest.Conn) net.Conn
	}{
		{"a write has failed", func(*testing.T, *chanio.Session, *bufio.Reader) {}, func(c *chaniotest.Conn) net.Conn { return brokenOutput{c} }},
		{"CloseWrite", func(t *testing.T, s *chanio.Session, peer *bufio.Reader) {
			require.NoError(t, s.CloseWrite())
			hears(t, peer, "BYE <nil>")
		}, func(c *chaniotest.Conn) net.Conn { return c }},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				o.Framing = talk{}
				a, b := memPair()
				s := chanio.NewSession(t.Context(), test.conn(b), &o)
				test.end(t, s, bufio.NewReader(a))
				go func() {
					for range 10 {
						io.WriteString(a, pings)
						io.WriteString(a, "MSG x\n")
					}
					a.Close()
				}()
				start, got := time.Now(), 0
				for range s.Recv() {
					got++
				}
				require.Equal(t, 10, got)
				require.Zero(t, since(start))
				s.Abort(nil)
				<-s.Done()
			})
		})
	}
}

func TestAMessageInPartsIsOneMessageAndMustBeWholeInTime(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.MessageTimeout = time.Minute
		s, peer, r := talkPair(t, o)
		say(t, peer, "PART hello, \nPING p\nMSG world\n")
		hears(t, r, "PONG p")
		require.Equal(t, "hello, world", string(<-s.Recv()))
		time.Sleep(2 * o.MessageTimeout) // no message has begun
		say(t, peer, "PI")
		time.Sleep(o.MessageTimeout / 2)
		say(t, peer, "NG\n") // which is none
		hears(t, r, "PONG ")
		time.Sleep(2 * o.MessageTimeout)
		require.NoError(t, s.Err())
		say(t, peer, "PART never\n")
		time.Sleep(o.MessageTimeout + time.Second)
		require.ErrorIs(t, s.Err(), os.ErrDeadlineExceeded)
	})
}

func TestAFramingHasTheLastWordAndHearsWhyItEnds(t *testing.T) {
	type pair struct {
		s    *chanio.Session
		peer *chaniotest.Conn
	}
	for _, test := range []struct {
		name string
		end  func(t *testing.T, p pair)
		last []string
		err  string
	}{
		{"Close", func(t *testing.T, p pair) { go p.s.Close() }, []string{"BYE <nil>"}, ""},
		{"CloseWrite", func(t *testing.T, p pair) { p.s.CloseWrite() }, []string{"BYE <nil>"}, ""},
		{"the peer's word", func(t *testing.T, p pair) { say(t, p.peer, "BYE\nMSG data after it\n") }, []string{"BYE EOF"}, ""},
		{"an error", func(t *testing.T, p pair) { say(t, p.peer, "HUH\n") }, []string{"WHAT", `BYE unknown word "HUH"`}, `unknown word "HUH"`},
		{"a bare end of stream", func(t *testing.T, p pair) { p.peer.CloseWrite() }, []string{"BYE unexpected EOF"}, "unexpected EOF"},
		{"an end of stream inside a frame", func(t *testing.T, p pair) { say(t, p.peer, "MS"); p.peer.CloseWrite() }, []string{"BYE unexpected EOF"}, "unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				s, peer, r := talkPair(t, o)
				require.NoError(t, s.Put([]byte("accepted before")))
				test.end(t, pair{s, peer})
				go func() { // a correct handler
					for range s.Recv() {
					}
					s.Close()
				}()
				last := test.last
				if len(last) == 2 { // a reply, which goes ahead of what waits to be sent
					var lines []string
					for range 2 {
						line, err := r.ReadString('\n')
						require.NoError(t, err)
						lines = append(lines, line)
					}
					require.ElementsMatch(t, []string{"MSG accepted before\n", last[0] + "\n"}, lines)
					last = last[1:]
				} else {
					hears(t, r, "MSG accepted before")
				}
				hears(t, r, last[0])
				_, err := r.ReadByte()
				require.ErrorIs(t, err, io.EOF)
				peer.CloseWrite()
				<-s.Done()
				if test.err == "" && test.name != "CloseWrite" {
					require.NoError(t, s.Err())
				} else if test.err != "" {
					require.ErrorContains(t, s.Err(), test.err)
					require.ErrorIs(t, context.Cause(s.Context()), s.Err())
				}
				require.Zero(t, s.Stats().Undelivered)
			})
		})
	}
}

func TestAFramingLearnsOfAShutdownAfterTheLastMessage(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.Framing = talk{}
		l, ln := serveMem(t, &o)
		handled := make(chan struct{})
		served := serveEach(l, func(s *chanio.Session) {
			close(handled)
			for range s.Recv() {
			}
			s.Put([]byte("my last"))
			s.Close()
		})
		peer := ln.dial()
		defer peer.Close()
		r := bufio.NewReader(peer)
		say(t, peer, "PING in\n")
		hears(t, r, "PONG in")
		<-handled // a session that was not received would be dropped
		require.NoError(t, l.Multicast([]byte("everybody's last")))
		down := make(chan error, 1)
		go func() { down <- l.Shutdown(t.Context()) }()
		var last []string // a hub's messages and a session's own have no order between them
		for range 2 {
			line, err := r.ReadString('\n')
			require.NoError(t, err, last)
			last = append(last, line)
		}
		require.ElementsMatch(t, []string{"MSG everybody's last\n", "MSG my last\n"}, last)
		hears(t, r, "BYE "+chanio.ErrShutdown.Error())
		peer.Close()
		require.NoError(t, <-down)
		<-served
	})
}

func TestASessionTakesOverAHandoversInputAndAgreement(t *testing.T) {
	reader := new(talkReader)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	handing := handingListener{ln, func(c net.Conn) net.Conn {
		return &chanio.Handover{Conn: c, Buffered: []byte("MSG read before\nMSG cu"), Framing: talk{"other"}, Reader: reader}
	}}
	l := chanio.Serve(t.Context(), handing, &chanio.Options{Framing: talk{}})
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer peer.Close()
	s := <-l.Sessions()
	say(t, peer, "t\n")
	require.Equal(t, "read before", string(<-s.Recv()))
	require.Equal(t, "cut", string(<-s.Recv()))
	require.Same(t, reader, s.FrameReader())
	require.Equal(t, talk{"other"}, s.Settings().Framing)
	require.Equal(t, peer.LocalAddr().String(), s.RemoteAddr().String())
	raw, socket := s.StreamIsRaw()
	require.Equal(t, socket, raw, "a socket keeps its fast path")
}

// handingListener accepts what hand makes of a connection.
type handingListener struct {
	net.Listener
	hand func(net.Conn) net.Conn
}

func (l handingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.hand(c), nil
}
