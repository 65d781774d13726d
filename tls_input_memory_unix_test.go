//go:build unix

package chanio_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"runtime"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/buffer"
	"example.com/chanio/internal/tlsrecord"
)

func TestASessionThatWaitsIsAboutToDropItsBuffers(t *testing.T) {
	in := newInput(t, tls.VersionTLS13)
	_, err := in.peer.Write(noise(chanio.MaxRecord))
	require.NoError(t, err)
	in.take(chanio.MaxRecord)
	in.DropWhen(nil)
	in.idle()
	for in.WillDrop() {
		runtime.Gosched()
	}
	require.Zero(t, in.BufferSize())
}

func TestAnIdleTLSSessionHoldsNoInputBuffer(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			in := newInput(t, version)
			in.idle()
			require.NotZero(t, in.BufferSize(), "this Go has the buffers where they are looked for")
			for _, size := range []int{5000, 200_000, 10, 70_000} {
				want := noise(size)
				go in.peer.Write(want)
				require.True(t, bytes.Equal(want, in.take(size)))
				in.idle()
				in.forget()
				require.Zero(t, in.BufferSize())
				require.Equal(t, tlsrecord.Reader{}, in.Rest())
			}
		})
	}
}

func TestBuffersAreNotDroppedWhileThereIsTraffic(t *testing.T) {
	in := newInput(t, tls.VersionTLS13)
	in.idle()
	for range 3 {
		_, err := in.peer.Write(noise(chanio.MaxRecord))
		require.NoError(t, err)
		in.take(chanio.MaxRecord)
		in.Drop() // which is about to happen since the session was idle
		require.GreaterOrEqual(t, in.BufferSize(), chanio.MaxRecord)
	}
}

// A borrower is a connection under a tls.Conn. It notes which memory crypto/tls
// reads into, and keeps it.
type borrower struct {
	net.Conn
	memory [][]byte
}

func (c *borrower) Read(p []byte) (int, error) {
	c.memory = append(c.memory, p[:cap(p)])
	return c.Conn.Read(p)
}

// Some crypto/tls may recycle the memory that it reads into, as it does with
// the memory that it writes from. If that were our memory, others would get
// data that they must not see.
func TestCryptoTLSNeverReadsIntoPooledMemory(t *testing.T) {
	server, client := testTLS(t)
	client.ServerName = "localhost"
	a, b := socketPair(t, "tcp")
	defer a.Close()
	defer b.Close()
	var under *borrower
	in := chanio.NewTLSInput(b, func(conn net.Conn, config *tls.Config) *tls.Conn {
		under = &borrower{Conn: conn}
		return tls.Server(under, config)
	}, server)
	peer := tls.Client(a, client)
	go peer.Handshake()
	require.NoError(t, in.Handshake(t.Context()))
	go peer.Write(noise(1 << 20))
	for read := 0; read < 1<<20; {
		b, n, err := in.Read()
		require.NoError(t, err)
		read += n
		b.Free()
	}
	require.NotEmpty(t, under.memory)
	for range 100 {
		pooled := buffer.Get(tlsrecord.BlockLen).B
		for _, m := range under.memory {
			require.False(t, overlap(m, pooled), "memory with two owners")
		}
	}
}

// overlap reports whether a and b share memory.
func overlap(a, b []byte) bool {
	begin := func(p []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(p))) }
	return begin(a) < begin(b)+uintptr(len(b)) && begin(b) < begin(a)+uintptr(len(a))
}

func TestReadingRecordsTakesNoFreshMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools")
	}
	in := newInput(t, tls.VersionTLS13)
	const rounds, size = 200, chanio.MaxRecord
	message := noise(size)
	exchange := func() {
		_, err := in.peer.Write(message)
		require.NoError(t, err)
		for n := 0; n < size; {
			b, m, err := in.Read()
			require.NoError(t, err)
			b.Free()
			n += m
		}
		in.idle()
	}
	exchange()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		exchange()
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/rounds, uint64(size/2), "bytes for a record")
}
