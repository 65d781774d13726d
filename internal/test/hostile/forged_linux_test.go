//go:build !race

// The race detector takes many times the memory, and the time in which an idle
// session ends.

package hostile

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestForgedAddressesTakeLittleMemory sends a byte from each of 70,000 addresses,
// which is more than MaxSessions is by default, to a server that answers none of
// them.
func TestForgedAddressesTakeLittleMemory(t *testing.T) {
	long(t)
	const many, burst = 70_000, 200
	r := startServer(t, config{Network: "udp", Address: "127.0.0.1:0", Unheard: true})
	to, err := net.ResolveUDPAddr("udp", r.address)
	require.NoError(t, err)
	liveBefore, before := r.live(), r.resident("VmRSS")
	for sent := 0; sent < many; {
		for range burst { // as many as the kernel's buffer holds
			from := &net.UDPAddr{IP: net.IPv4(127, byte(1+sent>>16), byte(sent>>8), byte(sent))}
			conn, err := net.DialUDP("udp4", from, to)
			require.NoError(t, err)
			_, err = conn.Write([]byte("x"))
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			sent++
		}
		r.await("all to be known", func(st state) bool { return st.Accepted == int64(sent) })
	}
	grown := r.resident("VmHWM") - before
	live := r.live() - liveBefore
	t.Logf("%d sessions: %d MB more memory resident at most, of which %d MB of live heap", r.state().Sessions, grown/1e6, live/1e6)
	require.Equal(t, 1<<16, r.state().Sessions)
	require.Less(t, live, int64(100e6))
	require.Less(t, grown, int64(200e6), "the collector lets a heap grow to twice what is live")
	r.process.Wait()
}

// resident returns what the kernel says of the server's memory: VmRSS is what is
// resident now, VmHWM the most that ever was.
func (r *remote) resident(what string) (bytes int64) {
	r.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.process.PID()))
	require.NoError(r.t, err)
	_, line, found := strings.Cut(string(status), what+":")
	require.True(r.t, found)
	_, err = fmt.Sscan(line, &bytes)
	require.NoError(r.t, err)
	return bytes << 10
}
