package datagram

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eachEngine runs test with batches, where there are any, and one by one.
func eachEngine(t *testing.T, test func(t *testing.T, cfg Config)) {
	t.Helper()
	for _, c := range []struct {
		name string
		cfg  Config
	}{
		{"batches", Config{}},
		{"one by one", Config{OneByOne: true}},
	} {
		t.Run(c.name, func(t *testing.T) { test(t, c.cfg) })
	}
}

// listen returns a Conn that is closed with the test.
func listen(t testing.TB, network, address string, cfg Config) *Conn {
	t.Helper()
	c, err := Listen(t.Context(), network, address, cfg)
	if err != nil && address[0] == '[' {
		t.Skipf("no IPv6 here: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// receive returns the next n packets of c.
func receive(t testing.TB, c *Conn, n int) (all []Packet) {
	t.Helper()
	require.NoError(t, c.Receive(func(ps []Packet) bool {
		all = append(all, ps...)
		return len(all) < n
	}))
	require.Len(t, all, n)
	return all
}

// write sends ps, all of which must succeed.
func write(t testing.TB, c *Conn, ps ...Packet) {
	t.Helper()
	n, err := c.Write(ps)
	require.NoError(t, err)
	require.Equal(t, len(ps), n)
}

// pattern returns n bytes that differ from those of another seed.
func pattern(seed, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(seed + i + i>>8)
	}
	return b
}

var families = []struct{ name, network, address string }{
	{"IPv4", "udp4", "127.0.0.1:0"},
	{"IPv6", "udp6", "[::1]:0"},
}

func TestDatagramsOfAnySizeArriveWholeAndOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg Config) {
		for _, f := range families {
			for _, size := range []int{0, 1, 1472, 9000, MaxPayload4} {
				t.Run(fmt.Sprintf("%s, %d bytes", f.name, size), func(t *testing.T) {
					a, b := listen(t, f.network, f.address, cfg), listen(t, f.network, f.address, cfg)
					// Three, for GSO to put together; the fourth shows that
					// there was no more of them.
					last := []byte("last")
					var sent []Packet
					for i := range 3 {
						sent = append(sent, Packet{Addr: b.LocalAddr(), Data: pattern(i, size)})
					}
					for _, p := range append(sent, Packet{Addr: b.LocalAddr(), Data: last}) {
						if size > 9000 { // the kernel's buffer holds one or two
							write(t, a, p)
							got := receive(t, b, 1)[0]
							require.True(t, bytes.Equal(p.Data, got.Data))
							continue
						}
					}
					if size > 9000 {
						return
					}
					write(t, a, append(sent, Packet{Addr: b.LocalAddr(), Data: last})...)
					got := receive(t, b, 4)
					for i, p := range sent {
						require.True(t, bytes.Equal(p.Data, got[i].Data), "datagram %d", i)
						require.Equal(t, a.LocalAddr(), got[i].Addr)
						require.Equal(t, b.LocalAddr(), got[i].Local)
						require.Equal(t, len(got[i].Data), cap(got[i].Data), "cap == len")
						require.NotNil(t, got[i].Data)
					}
					require.Equal(t, last, got[3].Data)
				})
			}
		}
	})
}

func BenchmarkPair(b *testing.B) {
	for _, c := range []struct {
		name string
		cfg  Config
		gso  bool
	}{
		{"one by one", Config{OneByOne: true}, false},
		{"batches", Config{}, false},
		{"batches, GSO and GRO", Config{}, true},
	} {
		for _, size := range []int{32, 256, 1400} {
			b.Run(fmt.Sprintf("%s/%d bytes", c.name, size), func(b *testing.B) {
				from, to := listen(b, "udp4", "127.0.0.1:0", c.cfg), listen(b, "udp4", "127.0.0.1:0", c.cfg)
				if !c.gso {
					withoutGSO(from)
				}
				const batch = 64
				ps := make([]Packet, batch)
				for i := range ps {
					ps[i] = Packet{Addr: to.LocalAddr(), Data: pattern(i, size)}
				}
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					if n++; n < batch {
						continue
					}
					n = 0
					write(b, from, ps...)
					got := 0
					to.Receive(func(ps []Packet) bool {
						got += len(ps)
						return got < batch
					})
				}
			})
		}
	}
}

func unmapped(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
