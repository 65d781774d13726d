package chanio_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/memory"
)

func TestPastMaxSessionsTheLeastDeservingPeerGoes(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.MaxSessions = 4
		m, l := memPeers(t, t.Context(), &o)
		sessions := make(map[int]*chanio.Session)
		begin := func(i int) {
			time.Sleep(time.Second)
			sessions[i] = m.session(i, l)
		}
		requireGone := func(i int) {
			t.Helper()
			for k, s := range sessions {
				if k == i {
					<-s.Done()
					require.ErrorIs(t, s.Err(), chanio.ErrTooManySessions)
					require.ErrorContains(t, s.Err(), peerAddress(i).String())
					delete(sessions, k)
					continue
				}
				require.NoError(t, s.Err(), "session %d", k)
			}
			require.Equal(t, 4, l.Len())
		}
		for i := 1; i <= 4; i++ {
			begin(i)
		}
		m.answer(t, sessions[1])
		m.from(2, "again") // so 3 has been idle for longer

		begin(5)
		requireGone(3)
		begin(6)
		requireGone(4)
		begin(7)
		requireGone(2)
		m.answer(t, sessions[7])
		m.answer(t, sessions[6])
		m.answer(t, sessions[5])
		m.from(1, "again") // all were answered, and 5 has been idle for longest
		begin(8)
		requireGone(5)
		begin(9)
		requireGone(8)
		m.answer(t, sessions[9])
		begin(10)
		requireGone(6)
		begin(6) // it may come back at once: 10, which was never answered, goes
		requireGone(10)
	})
}

func TestASessionThatEndsMakesRoomByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := memPeers(t, t.Context(), &chanio.Options{MaxSessions: 2})
		first, second := m.session(1, l), m.session(2, l)
		require.NoError(t, second.Close())
		third := m.session(3, l)
		require.NoError(t, first.Err())
		require.NoError(t, third.Err())
		require.Equal(t, 2, l.Len())
	})
}

func TestNoMaxSessionsIsNoBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := memPeers(t, t.Context(), &chanio.Options{MaxSessions: -1})
		for i := range 1000 {
			m.session(i, l)
		}
		require.Equal(t, 1000, l.Len())
	})
}

func TestPastMaxHandshakesUndeliveredNewPeersAreDroppedAndCounted(t *testing.T) {
	for _, limit := range []int{1, 2, 10} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				o.MaxHandshakes = limit
				m, l := memPeers(t, t.Context(), &o)
				for i := range limit + 3 {
					m.from(i, "hello")
				}
				require.Equal(t, limit, l.Len())
				require.EqualValues(t, 3, l.Stats().MessagesDropped)
				m.from(limit, "again")
				require.EqualValues(t, 4, l.Stats().MessagesDropped)

				for i := range limit { // each makes room for one
					s := <-l.Sessions()
					require.Equal(t, peerAddress(i).String(), s.RemoteAddr().String())
					synctest.Wait()
					m.from(100+i, "hello")
					m.from(200+i, "hello")
				}
				require.Equal(t, 2*limit, l.Len())
				require.EqualValues(t, 4+limit, l.Stats().MessagesDropped)
				m.answer(t, <-l.Sessions())
			})
		})
	}
}

func TestNoMaxHandshakesIsNoBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := memPeers(t, t.Context(), &chanio.Options{MaxHandshakes: -1})
		for i := range 2 * chanio.DefaultMaxHandshakes {
			m.from(i, "hello")
		}
		require.Zero(t, l.Stats().MessagesDropped)
		for i := range 2 * chanio.DefaultMaxHandshakes {
			require.Equal(t, peerAddress(i).String(), (<-l.Sessions()).RemoteAddr().String())
		}
	})
}

func TestUndeliveredPeersThatHaveGoneDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sessions, flood = 10, 20 * chanio.TidyMin
		m, l := memPeers(t, t.Context(), &chanio.Options{MaxHandshakes: -1, MaxSessions: sessions})
		for i := range flood {
			m.from(i, "hello")
			require.LessOrEqual(t, l.UndeliveredPeers(), chanio.TidyMin+1)
		}
		require.EqualValues(t, flood, l.Stats().Accepted)
		var last *chanio.Session
		for last == nil || last.RemoteAddr().String() != peerAddress(flood-1).String() {
			last = <-l.Sessions()
		}
		require.NoError(t, last.Err(), "those that live are delivered")
	})
}

// A flood sends datagrams from many addresses of the loopback interface.
type flood struct {
	t     *testing.T
	ports []*chanio.PacketConn
	to    netip.AddrPort
}

func newFlood(t *testing.T, l *chanio.Listener) *flood {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets one send from all of 127.0.0.0/8")
	}
	f := &flood{t: t, to: l.Addr().(*net.UDPAddr).AddrPort()}
	for range 10 {
		f.ports = append(f.ports, packetConn(t, "udp4", "0.0.0.0:0", nil, false))
	}
	return f
}

// send sends one datagram from each of n addresses. No two calls share an
// address.
func (f *flood) send(first, n int) {
	for i := first; i < first+n; i++ {
		k := i / len(f.ports)
		from := netip.AddrFrom4([4]byte{127, byte(1 + k>>16), byte(k >> 8), byte(k)})
		m := chanio.Packet{Addr: f.to, Local: netip.AddrPortFrom(from, 0), Data: []byte("forged")}
		if err := f.ports[i%len(f.ports)].Put(m); err != nil {
			f.t.Error(err)
		}
	}
	for _, p := range f.ports {
		if err := p.Flush(f.t.Context()); err != nil {
			f.t.Error(err)
		}
	}
}

func TestAFloodOfForgedAddressesStaysBoundedWhileAGoodPeerIsServed(t *testing.T) {
	const burst = 200 // as many at once as the kernel's buffer holds
	many := 100_000
	if raceEnabled {
		many = 30_000 // still many times the number that may live
	}
	for _, c := range []struct {
		name        string
		addresses   int
		read        bool
		maxSessions int
	}{
		{"Sessions read", many, true, 2000},
		{"Sessions unread", many, false, 2000},
		{"Sessions unread, of few", 10_000, false, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := listenUDP(t, &chanio.Options{MaxSessions: c.maxSessions})
			f := newFlood(t, l)
			good := connectTo(t, l)
			questions := insist(t, good, "good", func() { go sendBack(nextSession(t, l)) })
			served := slices.Collect(l.All())[0]
			var receiving sync.WaitGroup
			if c.read {
				receiving.Go(func() {
					for range l.Sessions() { // and answers none
					}
				})
			}
			before := memory.Live()
			for sent := 0; sent < c.addresses; sent += burst {
				f.send(sent, burst)
				questions += insist(t, good, fmt.Sprint(sent), nil)
				require.LessOrEqual(t, tableSize(l), c.maxSessions)
			}
			grown := memory.Live() - before
			live := l.Len()
			require.LessOrEqual(t, live, c.maxSessions)
			require.NoError(t, served.Err())
			// A question that was asked twice may still be in the kernel, and what the
			// kernel has dropped is known with the next datagram.
			accounted := func() int64 {
				st := l.Stats()
				return st.MessagesReceived + st.MessagesDropped + st.KernelDropped
			}
			for end := time.Now().Add(patience); accounted() != int64(c.addresses+questions) && time.Now().Before(end); {
				questions += insist(t, good, fmt.Sprint("once more ", questions), nil)
			}
			require.EqualValues(t, c.addresses+questions, accounted())
			st := l.Stats()
			t.Logf("%d sessions live of %d, with %d KB of heap; %d datagrams were dropped, and %d by the kernel",
				live, st.Accepted, grown>>10, st.MessagesDropped, st.KernelDropped)
			require.Less(t, grown, int64(c.maxSessions+chanio.DefaultMaxHandshakes)*16<<10)
			require.NoError(t, l.Close())
			receiving.Wait()
		})
	}
}

// tableSize returns how many peers l knows.
func tableSize(l *chanio.Listener) int {
	return l.KnownPeers()
}

// insist sends a question until it is answered, and returns how often it did.
// It calls asked after the first question.
func insist(t *testing.T, conn net.Conn, question string, asked func()) (questions int) {
	t.Helper()
	buf := make([]byte, 100)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		_, err := conn.Write([]byte(question))
		require.NoError(t, err)
		questions++
		if asked != nil {
			asked()
			asked = nil
		}
		conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		for err == nil {
			var n int
			n, err = conn.Read(buf)
			if err == nil && string(buf[:n]) == question {
				conn.SetDeadline(time.Now().Add(patience))
				return questions
			}
		}
	}
	require.FailNow(t, "no answer")
	return 0
}

func TestAForgedDatagramSubscribesNoOne(t *testing.T) {
	for _, manual := range []bool{false, true} {
		l := listenUDP(t, &chanio.Options{ManualJoin: manual})
		conn := connectTo(t, l)
		_, err := io.WriteString(conn, "subscribe me")
		require.NoError(t, err)
		nextSession(t, l)
		require.NoError(t, l.Multicast([]byte("news")))
		require.Zero(t, l.Hub().Len())
		require.Zero(t, l.Hub().Stats().BytesSent)
	}
}
