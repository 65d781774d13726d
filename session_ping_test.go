package chanio_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestASilentPeerIsPingedAndThenDead(t *testing.T) {
	for name, f := range map[string]chanio.Framing{"lines": chanio.Lines{}, "a framing with a state": talk{}} {
		t.Run(name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				o.Framing, o.PingInterval, o.PingTimeout = f, time.Minute, 10*time.Second
				if f == (chanio.Lines{}) {
					o.Ping = []byte("PING")
				}
				s, peer := memSession(t, &o)
				came := bufio.NewReader(peer)
				answer, err := f.AppendFrame(nil, []byte("here"))
				require.NoError(t, err)
				go func() {
					for range s.Recv() {
					}
				}()
				began := time.Now()
				for range 5 {
					hears(t, came, "PING")
					time.Sleep(9 * time.Second)
					say(t, peer, string(answer))
				}
				require.Equal(t, 5*69*time.Second, time.Since(began))
				go io.Copy(io.Discard, came)
				<-s.Done()
				require.Equal(t, 5*69*time.Second+70*time.Second, time.Since(began))
				require.ErrorIs(t, s.Err(), os.ErrDeadlineExceeded)
			})
		})
	}
}

// After CloseWrite no ping can be sent, and a peer that thinks about its answer
// must not be taken for dead.
func TestNoPingIsMissedAfterCloseWrite(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.Framing, o.Ping, o.PingInterval = chanio.Lines{}, []byte("PING"), time.Minute
		s, peer := memSession(t, &o)
		go io.Copy(io.Discard, peer)
		require.NoError(t, s.Put([]byte("question")))
		require.NoError(t, s.CloseWrite())
		time.Sleep(time.Hour)
		require.NoError(t, s.Err())
		go say(t, peer, "answer\n")
		require.Equal(t, "answer", string(<-s.Recv()))
	})
}

func TestAPeerThatIsSlowToReachAPingIsNotDead(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.Framing, o.Ping, o.PingInterval, o.WriteTimeout = chanio.LengthPrefix{Size: 4}, []byte("PING"), time.Minute, time.Hour
		s, peer := memSession(t, &o)
		s.Recv()
		want := noise(1 << 20)
		require.NoError(t, s.Put(want))
		_, err := io.ReadFull(peer, make([]byte, 4))
		require.NoError(t, err)
		for part := range slices.Chunk(want, 1<<16) { // for more than ten minutes
			time.Sleep(50 * time.Second)
			got := make([]byte, len(part))
			_, err := io.ReadFull(peer, got)
			require.NoError(t, err)
			require.True(t, bytes.Equal(part, got))
		}
		require.NoError(t, s.Err())
		start := time.Now()
		<-s.Done()
		require.LessOrEqual(t, since(start), 2*time.Minute)
		require.ErrorContains(t, s.Err(), "PingTimeout", "it takes nothing now, and says nothing")
	})
}

func TestAPingThatIsNotTakenIsNotAnswered(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.Framing, o.Ping, o.PingInterval, o.WriteTimeout = chanio.Lines{}, []byte("PING"), time.Minute, -1
		s, _ := memSession(t, &o)
		start := time.Now()
		fill(t, s)
		<-s.Done()
		require.Equal(t, 2*time.Minute, since(start))
		require.ErrorContains(t, s.Err(), "PingTimeout")
	})
}

func TestAPingThatIsNotTakenIsNothingOfTheUsers(t *testing.T) {
	for name, f := range map[string]chanio.Framing{"lines": chanio.Lines{}, "a framing with a state": talk{}} {
		t.Run(name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				o.Framing, o.PingInterval, o.WriteTimeout = f, time.Minute, -1
				if f == (chanio.Lines{}) {
					o.Ping = []byte("PING")
				}
				s, _ := memSession(t, &o)
				<-s.Done()
				require.ErrorContains(t, s.Err(), "PingTimeout")
				require.Zero(t, s.Stats().Undelivered)
				require.NoError(t, s.Flush(t.Context()), "nothing was accepted")
				require.NoError(t, s.Close())
			})
		})
	}
}

func TestAPingThatNeedsNoAnswerOnlyKeepsTheConnectionOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, peer := memSession(t, &chanio.Options{Framing: talk{}, PingInterval: time.Minute, PingTimeout: -1})
		came := bufio.NewReader(peer)
		for range 10 {
			hears(t, came, "PING")
		}
		require.NoError(t, s.Err())
	})
}

func TestAMessageThatCannotBeFramedEndsTheSessionAlthoughAPingIsDue(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.Framing, o.Ping, o.PingInterval, o.PingTimeout, o.WriteTimeout = chanio.Lines{}, []byte("PING"), time.Minute, -1, -1
		s, peer := memSession(t, &o)
		came := bufio.NewReader(peer)
		require.NoError(t, s.Put([]byte("first")))
		synctest.Wait() // it is being written, without the next one
		go func() { s.Send() <- []byte("two\nlines") }()
		time.Sleep(61 * time.Second) // a ping is due, after the first message
		hears(t, came, "first")
		require.NoError(t, peer.SetReadDeadline(time.Now().Add(10*time.Minute)))
		rest, err := io.ReadAll(came)
		require.NoError(t, err, "the session ends")
		require.Contains(t, []string{"", "PING\n"}, string(rest), "which of the two comes first is open")
		<-s.Done()
		require.ErrorContains(t, s.Err(), "newline")
	})
}

func TestAPeerIsNotDeadBecauseTheHandlerDoesNotReceive(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.Framing, o.PingInterval = talk{}, time.Minute
		s, peer := memSession(t, &o)
		go io.Copy(io.Discard, peer)
		go func() {
			for range 300 {
				io.WriteString(peer, "MSG x\n")
			}
		}()
		time.Sleep(time.Hour)
		require.NoError(t, s.Err())
	})
}

func TestInvalidPingOptions(t *testing.T) {
	for _, o := range []*chanio.Options{
		{PingInterval: 1}, {PingInterval: 1, Framing: chanio.Lines{}}, {PingInterval: 1, Framing: chanio.Lines{}, Ping: []byte("a\nb")},
		{PingInterval: 1, Framing: talk{}, Ping: []byte("x")},
	} {
		_, err := o.Resolve(false)
		require.ErrorContains(t, err, "Ping")
	}
}

func TestDialContextIsWhatStreamsAreDialedWith(t *testing.T) {
	a, b := memPair()
	defer a.Close()
	s, err := chanio.Dial(t.Context(), "tcp", "anywhere:1", &chanio.Options{
		Framing: talk{},
		DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			require.Equal(t, "tcp anywhere:1", network+" "+address)
			return &chanio.Handover{Conn: b, Buffered: []byte("MSG first\n")}, nil
		},
	})
	require.NoError(t, err)
	require.Equal(t, "first", string(<-s.Recv()))
	s.Abort(nil)
	<-s.Done()
}
