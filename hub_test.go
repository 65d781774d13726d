package chanio

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// listenTCP returns a listener on a free port of the loopback interface, which
// ends with the test.
func listenTCP(t testing.TB, o *Options) *Listener {
	t.Helper()
	l, err := Listen(context.Background(), "tcp", "127.0.0.1:0", o)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// joinTCP returns a plain client of l and its session, which is in the hub.
func joinTCP(t testing.TB, l *Listener) (net.Conn, *Session) {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn, <-l.Sessions()
}

func TestEveryMemberGetsEveryMessageOfManyPublishersInOneOrder(t *testing.T) {
	const members, publishers = 50, 4
	each := 100_000
	if testing.Short() {
		each = 5_000
	}
	l := listenTCP(t, &Options{Lag: LagBlock, MaxLag: 1 << 20})
	sums := make([][32]byte, members)
	counts := make([][publishers]int, members)
	var readers sync.WaitGroup
	for i := range members {
		conn, _ := joinTCP(t, l)
		readers.Go(func() {
			sum := sha256.New()
			buf := make([]byte, 12*4096)
			for {
				n, err := io.ReadAtLeast(conn, buf, 12)
				for n%12 != 0 && err == nil {
					var more int
					more, err = io.ReadAtLeast(conn, buf[n:], 12-n%12)
					n += more
				}
				sum.Write(buf[:n])
				for m := buf[:n]; len(m) >= 12; m = m[12:] {
					p, seq := binary.BigEndian.Uint32(m), int(binary.BigEndian.Uint64(m[4:]))
					if seq != counts[i][p] {
						t.Errorf("member %d: message %d of publisher %d came as %d", i, seq, p, counts[i][p])
						return
					}
					counts[i][p]++
				}
				if err != nil {
					break
				}
			}
			sum.Sum(sums[i][:0])
		})
	}
	var pubs sync.WaitGroup
	for p := range publishers {
		pubs.Go(func() {
			m := make([]byte, 12)
			binary.BigEndian.PutUint32(m, uint32(p))
			for seq := range each {
				binary.BigEndian.PutUint64(m[4:], uint64(seq))
				if err := l.Multicast(m); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	pubs.Wait()
	require.NoError(t, l.Hub().Flush(t.Context()))
	var closers sync.WaitGroup
	for s := range l.All() {
		closers.Go(func() { require.NoError(t, s.CloseWrite()) })
	}
	closers.Wait()
	readers.Wait()
	for i := range members {
		require.Equal(t, sums[0], sums[i], "member %d", i)
		for p := range publishers {
			require.Equal(t, each, counts[i][p])
		}
	}
}

func TestAMemberGetsWhatIsMulticastWhileItIsConnected(t *testing.T) {
	l := listenTCP(t, nil)
	var want [3]bytes.Buffer
	var conns [3]net.Conn
	publish := func(n int) {
		require.NoError(t, l.Multicast([]byte("test")))
		for i := range n {
			want[i].WriteString("test")
		}
	}
	var sessions [3]*Session
	for i := range conns {
		conns[i], sessions[i] = joinTCP(t, l)
		publish(i + 1)
	}
	require.NoError(t, l.Hub().Flush(t.Context()))
	for i, s := range sessions {
		require.NoError(t, s.CloseWrite())
		got, err := io.ReadAll(conns[i])
		require.NoError(t, err)
		require.Equal(t, want[i].String(), string(got))
	}
	require.EqualValues(t, 24, l.Stats().BytesSent)
	_ = fmt.Sprint
}
