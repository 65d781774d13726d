package hostile

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// dialRaw connects a bad peer, below TLS.
func (r *remote) dialRaw(t *testing.T) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", r.address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// everySecond calls each in rounds, a second apart, and closes busy after
// three. It ends with the test.
func everySecond(t *testing.T, each func(round int)) (busy <-chan struct{}) {
	threeRounds := make(chan struct{})
	stop := make(chan struct{})
	var attack sync.WaitGroup
	attack.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for round := 0; ; round++ {
			if round == 3 {
				close(threeRounds)
			}
			each(round)
			select {
			case <-ticker.C:
			case <-stop:
				return
			}
		}
	})
	t.Cleanup(func() { close(stop); attack.Wait() })
	return threeRounds
}

func TestPeersOfAByteASecondDelayNoOne(t *testing.T) {
	long(t)
	r := startServer(t, config{})
	g := connectGood(t, r)
	before := g.phase(nil)

	const many = 500
	conns := make([]net.Conn, many)
	for i := range conns {
		conns[i] = r.dialRaw(t)
		_, err := conns[i].Write([]byte{wantEcho})
		require.NoError(t, err)
	}
	var answered atomic.Int64
	busy := everySecond(t, func(int) {
		for _, conn := range conns {
			conn.Write([]byte{1})
			conn.SetReadDeadline(time.Now().Add(time.Second))
			if n, _ := conn.Read(make([]byte, 1)); n == 1 {
				answered.Add(1)
			}
		}
	})
	r.awaitSessions(goodClients + many)
	during := g.phase(busy)
	r.awaitSessions(goodClients + many) // slowness is no offence
	require.GreaterOrEqual(t, answered.Load(), int64(many), "they are served too")
	report(t, before, during, "slow peers:", many)
	for _, conn := range conns {
		conn.Close()
	}
	r.awaitSessions(goodClients)
	g.close()
	r.process.Wait()
}

// clientHello returns the first record of a TLS client.
func clientHello(t *testing.T) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	go tls.Client(near, &tls.Config{ServerName: "localhost"}).Handshake()
	header := make([]byte, 5)
	_, err := io.ReadFull(far, header)
	require.NoError(t, err)
	body := make([]byte, int(header[3])<<8|int(header[4]))
	_, err = io.ReadFull(far, body)
	require.NoError(t, err)
	return append(header, body...)
}

func TestHandshakesOfAByteASecondKeepNoOneOut(t *testing.T) {
	long(t)
	const bound = 64
	for _, c := range []struct {
		name string
		many int
		ends string
	}{
		{"more than MaxHandshakes", 5 * bound, "MaxHandshakes"},
		{"until HandshakeTimeout", bound / 2, "HandshakeTimeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			// The timeout is for the good ones too, which may get no CPU for a while.
			r := startServer(t, config{TLS: true, HandshakeTimeout: 10 * time.Second, MaxHandshakes: bound})
			g := connectGood(t, r)
			before := g.phase(nil)
			newBefore := g.newcomers(20)
			busy := dribbleHellos(t, r, c.many)
			if c.many > bound {
				r.await("the first to be dropped", func(st state) bool { return st.Failed[c.ends] > 0 })
			}
			// If more handshakes begin while a good client is in its own, the good
			// one may be dropped. It comes back, and the slow ones do not keep it
			// out.
			newDuring, again := g.persistent(20, syscall.ECONNRESET, syscall.EPIPE)
			if c.many < bound {
				require.Zero(t, again, "there is room for all")
			}
			during := g.phase(busy)
			// Handshakes that a round of newcomers evicts take a moment to end.
			st := r.await("handshakes to be ended, and their goroutines", func(st state) bool {
				return st.Failed[c.ends] > 0 && st.Goroutines < 5*goodClients+4*bound
			})
			report(t, before, during, "new clients before:", newBefore, "and during:", newDuring, "that came again:", again, "handshakes that failed:", st.Failed)
			g.close()
			r.process.Wait()
		})
	}
}

// dribbleHellos keeps many peers connected that send a byte of their hello a
// second, and come back when they are dropped.
func dribbleHellos(t *testing.T, r *remote, many int) (busy <-chan struct{}) {
	wire := clientHello(t)
	conns := make([]net.Conn, many)
	t.Cleanup(func() {
		for _, conn := range conns {
			if conn != nil {
				conn.Close()
			}
		}
	})
	return everySecond(t, func(round int) {
		for i, conn := range conns {
			if conn != nil {
				if _, err := conn.Write(wire[round : round+1]); err == nil {
					continue
				}
				conn.Close()
			}
			var err error
			if conns[i], err = net.Dial("tcp", r.address); err == nil {
				conns[i].Write(wire[:1])
			}
		}
	})
}

// halfRecords is a net.Conn that holds back the last byte of each write.
type halfRecords struct{ net.Conn }

func (c halfRecords) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p[:len(p)-1])
	return n + 1, err
}

func TestPeersWithHalfATLSRecordDelayNoOne(t *testing.T) {
	long(t)
	r := startServer(t, config{TLS: true, IdleTimeout: patience}, withLittleMemory)
	g := connectGood(t, r)
	before := g.phase(nil)
	const many = 100
	grown := -r.live()
	for range many {
		conn := r.dial(t).(*tls.Conn)
		_, err := conn.Write([]byte{wantEcho})
		require.NoError(t, err)
		raw := conn.NetConn()
		// The record belongs to another connection, but that can't be known before
		// its end has arrived.
		var record bytes.Buffer
		record.Write([]byte{23, 3, 3, 64, 0})
		record.Write(make([]byte, 16<<10-1))
		_, err = halfRecords{raw}.Write(record.Bytes())
		require.NoError(t, err)
	}
	during := g.phase(nil)
	r.awaitSessions(goodClients + many)
	grown += r.live()
	require.Less(t, grown, int64(many*40<<10), "a record and a session")
	report(t, before, during, "peers with half a record:", many, "KiB of heap for each:", grown/many>>10)
	g.close()
	r.process.Wait()
}

func TestPeersThatNeverReadAreEndedAndTakeABoundedPart(t *testing.T) {
	long(t)
	const many = 64
	r := startServer(t, config{WriteTimeout: 3 * time.Second}, withLittleMemory)
	g := connectGood(t, r)
	before := g.phase(nil)
	grown := -r.live()

	var attack sync.WaitGroup
	for range many {
		conn := r.dialRaw(t)
		attack.Go(func() {
			conn.Write([]byte{wantEcho})
			block := make([]byte, 64<<10)
			for {
				if _, err := conn.Write(block); err != nil {
					return // the session was ended
				}
			}
		})
	}
	received := int64(-1)
	r.await("the answers to fill every buffer", func(st state) bool {
		last := received
		received = st.Received
		return st.Pending > many*piece && received == last // else garbage would count
	})
	grown += r.live()
	during := g.phase(nil)
	r.await("WriteTimeout", func(st state) bool { return st.Ended["WriteTimeout"] == many })
	attack.Wait()
	// Each message may keep 64 KiB, more than 8 KiB of which are its own: those
	// in both queues, the reader's, the handler's, and those in a write.
	const most = (8 + 1 + 1 + 8 + 64/8) * 64 << 10
	require.Less(t, grown, int64(many*most))
	report(t, before, during, "peers that never read:", many, "MiB of heap:", grown>>20)
	r.awaitSessions(goodClients)
	g.close()
	r.process.Wait()
}

func TestChurnDelaysNoOne(t *testing.T) {
	long(t)
	for _, network := range []string{"tcp", "tls"} {
		t.Run(network, func(t *testing.T) {
			r := startServer(t, config{TLS: network == "tls"})
			g := connectGood(t, r)
			before := g.phase(nil)
			many := int64(4_000)
			if r.tls {
				many = 200
			}
			accepted := r.state().Accepted
			var came atomic.Int64
			busy := make(chan struct{})
			stop := make(chan struct{})
			began := time.Now()
			var attack sync.WaitGroup
			for i := range 8 {
				attack.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						conn, err := r.dialTo()
						if err != nil {
							continue
						}
						conn.Write([]byte{wantEcho, 1})
						if i%2 == 0 {
							conn.Read(make([]byte, 1))
						}
						endHard(conn) // else the test would run out of ports
						if came.Add(1) == many {
							close(busy)
						}
					}
				})
			}
			during := g.phase(busy)
			newDuring := g.newcomers(10)
			close(stop)
			attack.Wait()
			rate := float64(came.Load()) / time.Since(began).Seconds()
			st := r.awaitSessions(goodClients)
			require.GreaterOrEqual(t, st.Accepted-accepted, many/2, "those that did not wait may be gone before they are accepted")
			report(t, before, during, "new clients during:", newDuring, "connections that came and went:", came.Load(), "a second:", int(rate))
			g.close()
			r.process.Wait()
		})
	}
}

// endHard closes conn with a reset.
func endHard(conn net.Conn) {
	if tc, ok := conn.(*tls.Conn); ok {
		conn = tc.NetConn()
	}
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}
