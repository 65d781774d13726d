package ws

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// pipeSession returns a session of a handler with options o, and its peer.
func pipeSession(t *testing.T, o *Options) (*chanio.Session, net.Conn) {
	t.Helper()
	set, err := o.resolve(false)
	require.NoError(t, err)
	near, far := net.Pipe()
	return chanio.NewSession(t.Context(), &chanio.Handover{Conn: near, Reader: &reader{framing: set.plain}}, &set.chanio), far
}

// laggards are a room of a hundred browsers, one of which stalls.
type laggards struct {
	hub     *chanio.Hub
	stalled *chanio.Session
	peer    net.Conn
	others  sync.WaitGroup
	good    []*chanio.Session
	counts  []int // what each of the others got, in order, once others are done
}

const (
	lagMessages = 150 // of a kilobyte
	lagLimit    = 64 << 10
)

var lagBody = randomText(1018)

func lagMessage(i int) string { return fmt.Sprintf("%06d", i) + lagBody }

func newLaggards(t *testing.T, lag chanio.LagPolicy) *laggards {
	o := &Options{Text: true, PingInterval: -1}
	l := &laggards{hub: chanio.NewHub(t.Context(), &chanio.Options{Lag: lag, MaxLag: lagLimit, EventQueue: lagMessages}), counts: make([]int, 99)}
	l.stalled, l.peer = pipeSession(t, o)
	require.NoError(t, l.hub.Join(l.stalled))
	for i := range l.counts {
		s, peer := pipeSession(t, o)
		require.NoError(t, l.hub.Join(s))
		l.good = append(l.good, s)
		l.others.Go(func() {
			defer peer.Close()
			for r := bufio.NewReader(peer); ; {
				f, err := readFrame(r)
				if err != nil || f.Header.OpCode != ws.OpText || string(f.Payload) != lagMessage(l.counts[i]) {
					return // the close, or the messages that the count tells of
				}
				l.counts[i]++
			}
		})
	}
	return l
}

// publish publishes at the pace of the members that read.
func (l *laggards) publish(t *testing.T) {
	for i := range lagMessages {
		require.NoError(t, l.hub.Multicast([]byte(lagMessage(i))))
		synctest.Wait()
	}
}

// finish requires that the others have received everything, and ends all sessions.
func (l *laggards) finish(t *testing.T) {
	for _, s := range l.good {
		require.NoError(t, s.Close())
		require.NoError(t, s.Err())
	}
	l.others.Wait()
	for i, n := range l.counts {
		require.Equal(t, lagMessages, n, "member %d", i)
	}
	l.peer.Close()
	l.stalled.Abort(nil)
	<-l.stalled.Done()
	require.NoError(t, l.hub.Close())
}

func TestAStalledBrowserAmongAHundredIsDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLaggards(t, chanio.LagDisconnect)
		l.publish(t)
		require.Equal(t, 99, l.hub.Len())
		<-l.stalled.Done()
		require.ErrorIs(t, l.stalled.Err(), chanio.ErrLagged)
		l.finish(t)
	})
}

func TestAStalledBrowserAmongAHundredSkipsWholeMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLaggards(t, chanio.LagDrop)
		l.publish(t)
		require.Equal(t, 100, l.hub.Len())
		require.NoError(t, l.stalled.Err())
		r := bufio.NewReader(l.peer)
		last, got := -1, 0
		for last < lagMessages-1 { // the newest is never skipped
			f, err := readFrame(r)
			require.NoError(t, err)
			var n int
			_, err = fmt.Sscanf(string(f.Payload[:6]), "%d", &n)
			require.NoError(t, err)
			require.Greater(t, n, last)
			require.Equal(t, lagMessage(n), string(f.Payload))
			last, got = n, got+1
		}
		require.Less(t, got, lagMessages)
		skipped := 0
		for len(l.hub.Events()) > 0 {
			if e := <-l.hub.Events(); e.Kind == chanio.EventLagged {
				require.Same(t, l.stalled, e.Session)
				skipped += e.Count
			}
		}
		require.Equal(t, lagMessages-got, skipped)
		l.finish(t)
	})
}

func TestAStalledBrowserAmongAHundredHoldsPublishersForWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLaggards(t, chanio.LagBlock)
		began := time.Now()
		l.publish(t)
		took := time.Since(began)
		require.GreaterOrEqual(t, took, 10*time.Second, "WriteTimeout")
		require.Less(t, took, 20*time.Second)
		<-l.stalled.Done()
		require.ErrorIs(t, l.stalled.Err(), chanio.ErrLagged)
		require.Equal(t, 99, l.hub.Len())
		l.finish(t)
	})
}

// cutter is a proxy that cuts connections on which nothing has passed for idle.
func cutter(a, b net.Conn, idle time.Duration) {
	timer := time.AfterFunc(idle, func() {
		a.Close()
		b.Close()
	})
	var both sync.WaitGroup
	carry := func(to, from net.Conn) {
		defer to.Close()
		p := make([]byte, 1000)
		for {
			n, err := from.Read(p)
			if err != nil {
				return
			}
			timer.Reset(idle)
			if _, err := to.Write(p[:n]); err != nil {
				return
			}
		}
	}
	both.Go(func() { carry(a, b) })
	both.Go(func() { carry(b, a) })
	both.Wait()
	timer.Stop()
}

func TestPingsKeepAConnectionOpenThatAProxyWouldCut(t *testing.T) {
	for _, test := range []struct {
		name string
		ping time.Duration
		open bool
	}{{"with pings", 0, true}, {"without", -1, false}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, serverEnd := pipeSession(t, &Options{Text: true, PingInterval: test.ping})
				set, err := (&Options{Text: true, PingInterval: -1}).resolve(true)
				require.NoError(t, err)
				near, clientEnd := net.Pipe()
				client := chanio.NewSession(t.Context(), &chanio.Handover{Conn: near, Reader: &reader{framing: set.plain}}, &set.chanio)
				go cutter(serverEnd, clientEnd, 45*time.Second)
				server.Recv()
				client.Recv()
				time.Sleep(time.Hour)
				if !test.open {
					<-server.Done()
					require.ErrorIs(t, server.Err(), io.ErrUnexpectedEOF)
					<-client.Done()
					return
				}
				require.NoError(t, server.Put([]byte("still here")))
				require.Equal(t, "still here", string(<-client.Recv()))
				require.NoError(t, client.Put([]byte("so am I")))
				require.Equal(t, "so am I", string(<-server.Recv()))
				require.NoError(t, client.Close())
				<-server.Done()
			})
		})
	}
}

func TestAPeerThatVanishesBehindAProxyIsFoundWithinPingIntervalAndPongTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, peer := pipeSession(t, nil)
		defer peer.Close()
		go io.Copy(io.Discard, peer) // the proxy takes what we send, and no answer comes
		s.Recv()
		began := time.Now()
		<-s.Done()
		require.Equal(t, time.Minute, time.Since(began), "30 s and 30 s")
		require.ErrorIs(t, s.Err(), os.ErrDeadlineExceeded)
	})
}
