package hostile

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// TestMemoryIsBoundedWithThousandsOfSlowReaders connects so many peers to a
// server with little memory that each of them has to be cheap: 2,000, and with
// -measure 10,000.
func TestMemoryIsBoundedWithThousandsOfSlowReaders(t *testing.T) {
	long(t)
	many := 2_000
	if *measure > 0 {
		many = 10_000
	}
	for _, c := range []struct {
		name  string
		wants byte
		lag   chanio.LagPolicy
		each  int // KiB of heap that a slow reader may hold, of which the library's 64 KiB a write
		// Without a timeout, slow readers are not ended for being slow. In a hub
		// that disconnects, though, a publisher waits this long while no member
		// keeps up.
		timeout time.Duration
	}{
		{"in a hub that drops", wantHub, chanio.LagDrop, 8, -1},
		{"in a hub that disconnects", wantHub, chanio.LagDisconnect, 8, 50 * time.Millisecond},
		{"by Send", wantStream, chanio.LagDisconnect, 96, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			needDescriptors(t, many+200)
			r := startServer(t, config{
				Lag:          c.lag,
				WriteTimeout: c.timeout,
				WriteBuffer:  4 << 10,
			}, withLittleMemory)
			g := connectGood(t, r)
			before := g.phase(nil)
			grown := -r.live()
			conns := slowReaders(t, r, many, c.wants)
			if c.wants == wantHub {
				r.await("all to join", func(st state) bool { return st.Members == many })
				// This is far more than a member may lag, and than there is memory.
				for range 300 {
					var answer string
					r.process.Ask("publish", &answer)
				}
			} else {
				r.await("all to be full", func(st state) bool { return st.Pending >= int64(many)*piece })
			}
			during := g.phase(nil)
			newDuring := g.newcomers(20)
			st := r.state()
			grown += r.live()
			each := int(grown) / many >> 10
			report(t, before, during, "new clients during:", newDuring, "slow readers:", many, "MiB of heap in use:", grown>>20, "KiB for each:", each, "and taken from the system:", st.Heap>>20, "ended:", st.Ended)
			require.LessOrEqual(t, each, c.each+sharedLog/many, "and the log that all share")
			if c.lag == chanio.LagDrop {
				require.GreaterOrEqual(t, st.Sessions, goodClients+many, "no session was ended")
			}
			for _, conn := range conns {
				endHard(conn)
			}
			r.awaitSessions(goodClients)
			g.close()
			r.process.Wait()
		})
	}
}

// sharedLog is what a hub holds, in KiB, however many members it has: MaxLag,
// and the segment that is being filled.
const sharedLog = 17 << 10

// slowReaders connects peers that never read, whose kernel holds little for
// them.
func slowReaders(t *testing.T, r *remote, many int, wants byte) []net.Conn {
	t.Helper()
	small := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
		})
	}}
	conns := make([]net.Conn, many)
	for i := range conns {
		conn, err := small.Dial("tcp", r.address)
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		_, err = conn.Write([]byte{wants})
		require.NoError(t, err)
		conns[i] = conn
	}
	return conns
}

// needDescriptors skips the test if a process can't have that many descriptors.
func needDescriptors(t *testing.T, many int) {
	t.Helper()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if limit.Cur < uint64(many) { // Go has raised the limit to its maximum
		t.Skipf("only %d descriptors", limit.Cur)
	}
}
