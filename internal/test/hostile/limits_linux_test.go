package hostile

import (
	"bufio"
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/child"
	"example.com/chanio/internal/test/netns"
)

func TestConnectedPeersAreServedWhenDescriptorsRunOut(t *testing.T) {
	long(t)
	const many, limit = 100, 48
	r := startServer(t, config{Descriptors: limit})
	g := connectGood(t, r)
	before := g.phase(nil)
	conns := make([]net.Conn, many)
	for i := range conns {
		conns[i] = r.dialRaw(t) // the kernel's backlog takes the connections that the server can't
	}
	r.await("descriptors to run out", func(st state) bool {
		return st.Failed[syscall.EMFILE.Error()] > 0
	})
	during := g.phase(nil)
	st := r.state()
	report(t, before, during, "peers:", many, "descriptors:", limit, "failed:", st.Failed)
	for _, conn := range conns {
		endHard(conn)
	}
	g.newcomers(20)
	r.awaitSessions(goodClients)
	g.close()
	r.process.Wait()
}

// fewPorts is how many ephemeral ports the namespace of playFewPorts has.
const fewPorts = 16

func TestWithoutPortsDialsFailClearlyAndConnectRecovers(t *testing.T) {
	long(t)
	netns.Enter(t, `ip link set lo up; echo 40000 40015 > /proc/sys/net/ipv4/ip_local_port_range`)
	child.Start(t, "few ports").Wait()
}

// playFewPorts runs where there are few ports, and takes them all.
func playFewPorts(t *testing.T, _ *bufio.Scanner) {
	l, err := chanio.Listen(t.Context(), "tcp", "127.0.0.1:1111", nil)
	require.NoError(t, err)
	accepted := make(chan *chanio.Session, fewPorts)
	go func() {
		defer close(accepted)
		for s := range l.Sessions() {
			accepted <- s
		}
	}()
	dialed := make([]*chanio.Session, fewPorts)
	for i := range dialed {
		dialed[i], err = chanio.Dial(t.Context(), "tcp", "127.0.0.1:1111", nil)
		require.NoError(t, err)
	}
	_, err = chanio.Dial(t.Context(), "tcp", "127.0.0.1:1111", nil)
	require.ErrorIs(t, err, syscall.EADDRNOTAVAIL)
	require.ErrorContains(t, err, "dial tcp")
	require.ErrorContains(t, err, "127.0.0.1:1111")

	c := chanio.Connect(t.Context(), "tcp", "127.0.0.1:1111", &chanio.Options{Backoff: chanio.Backoff{Min: 10 * time.Millisecond, Max: 50 * time.Millisecond}})
	failed := 0
	for e := range c.Events() {
		if e.Kind != chanio.EventFailed {
			continue
		}
		require.ErrorIs(t, e.Err, syscall.EADDRNOTAVAIL)
		if failed++; failed == 3 {
			break
		}
	}
	for i, s := range dialed {
		// The existing connections go on.
		require.NoError(t, s.Put([]byte("x")))
		require.Equal(t, "x", string(<-(<-accepted).Recv()), i)
	}
	dialed[0].Abort(nil) // a reset leaves no TIME_WAIT
	select {
	case s := <-c.Sessions():
		require.NoError(t, s.Put([]byte("y")))
		require.NoError(t, s.Flush(t.Context()))
		require.Equal(t, "y", string(<-(<-accepted).Recv()))
	case <-time.After(patience):
		require.Fail(t, "Connect has not recovered")
	}
	require.NoError(t, c.Close())
	for _, s := range dialed {
		s.Abort(nil)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, l.Shutdown(ctx))
	for range accepted {
	}
	t.Log("ports: ", fewPorts, "; failed tries of Connect before one was free: ", failed)
}

func TestHalfOpenPeersAreEnded(t *testing.T) {
	long(t)
	const many = 50
	for _, c := range []struct {
		name   string
		wants  byte
		config config
		ended  []string
	}{
		// The kernel may report a route that is gone instead of the timeout.
		{"keep-alive", wantEcho, config{KeepAlive: true}, []string{syscall.ETIMEDOUT.Error(), syscall.EHOSTUNREACH.Error()}},
		{"IdleTimeout", wantEcho, config{IdleTimeout: 10 * time.Second}, []string{"IdleTimeout"}},
		{"WriteTimeout", wantStream, config{WriteTimeout: 5 * time.Second}, []string{"WriteTimeout"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			there := netns.Veth(t)
			c.config.Network, c.config.Address = "tcp", "10.7.7.1:0"
			r := startServer(t, c.config)
			g := connectGood(t, r)
			before := g.phase(nil)
			down := make(chan struct{})
			meanwhile := g.start(down) // good ones that rest could be ended too
			conns := make([]net.Conn, many)
			there(func() {
				for i := range conns {
					var err error
					if conns[i], err = net.DialTimeout("tcp", r.address, patience); err != nil {
						t.Error(err)
						return
					}
				}
			})
			require.False(t, t.Failed())
			r.awaitSessions(goodClients + many)
			for _, conn := range conns { // only now: a stream's timeout runs from its start
				conn.SetDeadline(time.Now().Add(patience))
				_, err := conn.Write([]byte{c.wants})
				require.NoError(t, err)
				if c.wants == wantStream {
					_, err = conn.Read(make([]byte, 1))
					require.NoError(t, err)
				}
			}
			there(func() {
				if err := netns.Run("ip link set v0 down"); err != nil {
					t.Error(err)
				}
			})
			close(down)
			meanwhile()
			during := g.until("the half-open ones to be ended", func(st state) bool {
				n := int64(0)
				for _, why := range c.ended {
					n += st.Ended[why]
				}
				return n == many
			})
			st := r.awaitSessions(goodClients)
			report(t, before, during, "half-open peers:", many, "ended:", st.Ended)
			for _, conn := range conns {
				conn.Close()
			}
			g.close()
			r.process.Wait()
		})
	}
}
