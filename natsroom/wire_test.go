package natsroom

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestANumberContainsItsCreationTime(t *testing.T) {
	now := time.Now()
	n := newNumber(now)
	require.Equal(t, now.UnixMilli(), n.made().UnixMilli())
	require.Equal(t, byte(0x70), n[6]&0xf0, "a UUIDv7")
	require.NotEqual(t, n, newNumber(now))
}

// testPacket returns a source's packet of count messages, from number first on.
func testPacket(source number, first, floor uint64, count int) *packet {
	return &packet{source: source, first: first, floor: floor, count: count}
}

func TestALiveRoomsFilterReportsAGapOnce(t *testing.T) {
	now := time.Now()
	old, young := newNumber(now.Add(-time.Hour)), newNumber(now.Add(time.Hour))
	f := filter{since: now}
	for _, step := range []struct {
		name     string
		source   number
		first    uint64
		count    int
		repeated int
		missing  uint64
	}{
		{"of an old source what is seen first is the first", old, 100, 1, 0, 0},
		{"the next", old, 101, 2, 0, 0},
		{"a gap", old, 110, 1, 0, 7},
		{"a repetition", old, 101, 2, 2, 0},
		{"in part", old, 110, 3, 1, 0},
		{"of a new one all is owed", young, 5, 1, 0, 4},
	} {
		repeated, missing := f.live(testPacket(step.source, step.first, 0, step.count), now)
		require.Equal(t, step.repeated, repeated, step.name)
		require.Equal(t, step.missing, missing, step.name)
	}
	require.EqualValues(t, 2, f.mark(old, 115, now))
	require.Zero(t, f.mark(old, 115, now))
	require.Zero(t, f.mark(newNumber(now), 1000, now), "from an old source that is unknown")
	f.live(testPacket(newNumber(now), 1, 0, 1), now.Add(2*forgetAfter))
	require.Len(t, f.sources, 1, "silent sources are forgotten")
}

func TestASourceThatWasForgottenOwesNothingOfWhatHasPassed(t *testing.T) {
	for _, test := range []struct {
		name string
		pass func(f *filter, p *packet, now time.Time) (missing uint64)
	}{
		{"live", func(f *filter, p *packet, now time.Time) uint64 { _, n := f.live(p, now); return n }},
		{"a mark", func(f *filter, p *packet, now time.Time) uint64 { return f.mark(p.source, p.first, now) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			now := time.Now()
			f := filter{since: now}
			now = now.Add(time.Minute)
			quiet := newNumber(now)
			f.live(testPacket(quiet, 1, 0, 1), now)
			now = now.Add(2 * forgetAfter)
			_, missing := f.live(testPacket(newNumber(now), 1, 0, 1), now)
			require.Zero(t, missing)
			require.False(t, f.knows(quiet))
			require.Zero(t, test.pass(&f, testPacket(quiet, 2, 0, 1), now))
			_, missing = f.live(testPacket(newNumber(now), 5, 0, 1), now)
			require.EqualValues(t, 4, missing, "a new one owes all")
		})
	}
}

func TestAStreamsFilterWaitsForRetransmissions(t *testing.T) {
	now := time.Now()
	source := newNumber(now)
	f := filter{since: now}
	for _, step := range []struct {
		name         string
		first, floor uint64
		count        int
		repeated     int
		missing      uint64
	}{
		{"the first", 1, 0, 1, 0, 0},
		{"after a hole", 3, 1, 1, 1, 0},
		{"again, from the hole on", 2, 1, 1, 0, 0},
		{"again", 3, 1, 1, 0, 0},
		{"late, of an earlier attempt", 2, 1, 1, 1, 0},
		{"earlier messages are no longer kept", 11, 10, 2, 0, 7},
		{"both", 31, 20, 1, 1, 8},
		{"and then", 21, 20, 11, 0, 0},
	} {
		repeated, missing := f.stored(testPacket(source, step.first, step.floor, step.count), now)
		require.Equal(t, step.repeated, repeated, step.name)
		require.Equal(t, step.missing, missing, step.name)
	}
}

func FuzzPacket(f *testing.F) {
	p := packet{source: newNumber(time.Unix(1e9, 0)), first: 7, floor: 3, count: 2}
	f.Add(appendMessage(appendMessage(p.appendHeader(nil), []byte("hello")), nil))
	f.Add([]byte{wireVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePacket(b)
		if err != nil {
			return
		}
		again := p.appendHeader(nil)
		n := 0
		for m := range p.messages(0) {
			again = appendMessage(again, m)
			n++
		}
		require.Equal(t, p.count, n)
		q, err := parsePacket(again)
		require.NoError(t, err)
		require.Equal(t, p.first, q.first)
		require.Equal(t, p.count, q.count)
		require.Equal(t, p.size(), q.size())
	})
}

func FuzzPresence(f *testing.F) {
	p := presence{
		node: newNumber(time.Unix(1e9, 0)), seq: 5, flags: presenceReset,
		entries: []entry{{name: "lobby", source: newNumber(time.Unix(1e9, 0)), members: 3, mark: 8, flags: entryHistory}},
		asks:    []string{"garden"},
	}
	f.Add(p.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePresence(b)
		if err != nil {
			return
		}
		q, err := parsePresence(p.append(nil))
		require.NoError(t, err)
		require.Equal(t, p, q)
	})
}
