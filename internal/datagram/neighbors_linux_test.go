package datagram

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A LAN takes far less than this to find a host.
const slowLAN = 90 * time.Millisecond

var aNeighbor = neighbor{addr: netip.MustParseAddr("10.7.7.2")}

// notedAs returns whether a neighbor in that state is sought and silent, if it
// was silent before or not.
func notedAs(state uint16, age time.Duration, wasSilent bool) (silent, sought, now bool) {
	last := &soughtNeighbors{all: map[neighbor]bool{aNeighbor: wasSilent}}
	next := &soughtNeighbors{all: make(map[neighbor]bool)}
	now = next.note(neighborEntry{aNeighbor, state, age}, last)
	silent, sought = next.find(aNeighbor)
	return silent, sought, now
}

func TestANeighborIsSilentOnlyOnceItHasHadTime(t *testing.T) {
	for _, test := range []struct {
		name                string
		state               uint16
		age                 time.Duration
		wasSilent           bool
		silent, sought, now bool
	}{
		{"just sought", unix.NUD_INCOMPLETE, 0, false, false, true, true},
		{"sought on a slow LAN", unix.NUD_INCOMPLETE, slowLAN, false, false, true, true},
		{"sought for long", unix.NUD_INCOMPLETE, time.Second, false, true, true, true},
		{"sought again", unix.NUD_INCOMPLETE, 0, true, true, true, true},
		{"given up", unix.NUD_FAILED, 0, true, true, true, false},
		{"given up before it was noticed", unix.NUD_FAILED, 0, false, false, false, false},
		{"back", unix.NUD_REACHABLE, 0, true, false, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			silent, sought, now := notedAs(test.state, test.age, test.wasSilent)
			require.Equal(t, []bool{test.silent, test.sought, test.now}, []bool{silent, sought, now})
		})
	}
	_, sought := (*soughtNeighbors)(nil).find(aNeighbor)
	require.False(t, sought)
}

// sending returns the state of an endpoint that has just read that a neighbor is
// sought, and what is to be sent there.
func sending(silent bool) (*silentNeighbors, []Packet) {
	n := &silentNeighbors{notUntil: time.Now().Add(time.Hour)}
	n.sought.Store(&soughtNeighbors{read: time.Now().Add(time.Hour), all: map[neighbor]bool{aNeighbor: silent}})
	return n, make([]Packet, 3)
}

func TestADatagramWaitsForANeighborThatIsNotSilentYet(t *testing.T) {
	for _, test := range []struct {
		name   string
		silent bool
		answer time.Duration // when the neighbor is found; 0: never
		count  int
		err    error
		took   time.Duration
	}{
		{"it answers", false, slowLAN, 3, nil, slowLAN},
		{"it does not", false, 0, 0, errSilent, neighborPatience},
		{"it is silent", true, 0, 0, errSilent, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, ps := sending(test.silent)
				for i := range ps {
					ps[i].Addr = netip.AddrPortFrom(aNeighbor.addr, 9)
				}
				if test.answer > 0 {
					time.AfterFunc(test.answer, func() { n.sought.Store(nil) })
				}
				began := time.Now()
				count, err := n.reached(new(Conn), ps)
				require.Equal(t, test.count, count)
				require.ErrorIs(t, err, test.err)
				require.GreaterOrEqual(t, time.Since(began), test.took)
				require.LessOrEqual(t, time.Since(began), 2*test.took, "it looks after 1, 2, 4 ms and so on")
			})
		})
	}
}

func TestSendersThatWereAdmittedTogetherDoNotFillTheBufferTogether(t *testing.T) {
	const most = 10_000
	segmented := func(netip.Addr) int { return 1400 }
	for _, test := range []struct {
		name         string
		table        *neighborTable
		credit       int64
		size, expect int
	}{
		{"it looks in time", new(neighborTable), 1, 100, maxSegments},
		{"no more than may be in use", new(neighborTable), 1, 1000, most / 1000},
		{"others have taken the credit", new(neighborTable), 0, 100, 1},
		{"no table", nil, 0, 1000, maxSegments},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := &silentNeighbors{table: test.table}
			n.most.Store(most)
			n.credit.Store(test.credit)
			ps := make([]Packet, maxSegments)
			for i := range ps {
				ps[i] = Packet{Addr: netip.AddrPortFrom(aNeighbor.addr, 9), Data: make([]byte, test.size)}
			}
			o := new(outbox)
			o.pack(new(Conn), ps, segmented, n)
			require.Equal(t, 1, o.used)
			require.Equal(t, test.expect, o.counts[0])
		})
	}
}

// What one sender may put in the buffer before anyone looks is the part of it
// that may be in use.
func TestALookSaysHowMuchMayBeInUse(t *testing.T) {
	c := listen(t, "udp4", "127.0.0.1:0", Config{})
	n := &silentNeighbors{raw: c.raw, table: new(neighborTable)}
	n.check()
	_, size := n.buffer()
	require.Equal(t, size/heldShare, n.room())
}
