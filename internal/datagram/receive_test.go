package datagram

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSmallPayloadsShareSlabsThatAreSmall(t *testing.T) {
	payload := pattern(1, 32)
	allocs := testing.AllocsPerRun(100, func() {
		var c carver
		for range 2 * slabSize / len(payload) {
			c.expect(len(payload))
		}
		for range 2 * slabSize / len(payload) {
			c.copy(payload)
		}
	})
	require.EqualValues(t, 2, allocs)
}

func TestASlabIsNoLargerThanWhatIsCarvedFromIt(t *testing.T) {
	var c carver
	c.expect(10)
	c.expect(carveLimit + 1)
	c.expect(20)
	c.copy(pattern(1, 10))
	require.Len(t, c.slab, 20)
	c.copy(pattern(1, carveLimit+1))
	require.Len(t, c.slab, 20)
	c.copy(pattern(1, 20))
	require.Empty(t, c.slab)
}

func TestPayloadsAreCopiesThatEndWhereTheNextBegins(t *testing.T) {
	sizes := []int{0, 1, 1000, carveLimit, carveLimit, carveLimit, carveLimit, carveLimit + 1, 30, 65507, 0, 7}
	var c carver
	for _, n := range sizes {
		c.expect(n)
	}
	var got [][]byte
	for i, n := range sizes {
		p := c.copy(pattern(i, n))
		require.Equal(t, n, cap(p))
		got = append(got, append(p, 0xff)[:n]) // reallocates, and harms no other
	}
	for i, n := range sizes {
		require.Equal(t, pattern(i, n), got[i])
	}
}

// A script is an engine that reads what a test has prepared, then times out.
type script []*batch

func (s *script) read() (*batch, error) {
	if len(*s) == 0 {
		return nil, os.ErrDeadlineExceeded
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return b, nil
}

func (*script) write([]Packet) (int, error) { return 0, nil }
func (*script) close()                      {}

func (*script) writeNow([]Packet) int { return 0 }

func TestWhatHoldsNoDatagramIsNotDelivered(t *testing.T) {
	full := newBatch()
	full.packets = append(full.packets, Packet{Data: pattern(1, 10)})
	c := &Conn{engine: &script{newBatch(), full, newBatch()}, stopped: make(chan struct{})}
	close(c.stopped)
	var got [][]Packet
	require.NoError(t, c.Receive(func(ps []Packet) bool { got = append(got, append([]Packet(nil), ps...)); return true }))
	require.Len(t, got, 1)
	require.Equal(t, pattern(1, 10), got[0][0].Data)
}
