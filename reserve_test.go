package chanio

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheReserveIsHeldWhileReadingKeepsTheCollectorBusy(t *testing.T) {
	const fast, slow, many = reserveBelow / 2, 2 * reserveAbove, 2 * reserveTraffic
	type collection struct {
		after time.Duration
		bytes int64
		limit int64
		holds bool
	}
	for _, test := range []struct {
		name        string
		collections []collection
	}{
		{"one collection tells nothing", []collection{{0, many, math.MaxInt64, false}}},
		{"collections in a row", []collection{{0, many, math.MaxInt64, false}, {fast, many, math.MaxInt64, true}}},
		{"of what others made", []collection{{0, 1, math.MaxInt64, false}, {fast, 1, math.MaxInt64, false}}},
		{"far apart", []collection{{0, many, math.MaxInt64, false}, {slow, many, math.MaxInt64, false}}},
		{"with little memory", []collection{{0, many, reserveLimit - 1, false}, {fast, many, reserveLimit - 1, false}}},
		{"between is what it is made for", []collection{
			{0, many, math.MaxInt64, false}, {fast, many, math.MaxInt64, true}, {reserveAbove / 2, many, math.MaxInt64, true},
		}},
		{"far apart again", []collection{
			{0, many, math.MaxInt64, false}, {fast, many, math.MaxInt64, true}, {slow, many, math.MaxInt64, false},
		}},
		{"reading has stopped", []collection{
			{0, many, math.MaxInt64, false}, {fast, many, math.MaxInt64, true}, {fast, 0, math.MaxInt64, false},
		}},
		{"the limit was lowered", []collection{
			{0, many, math.MaxInt64, false}, {fast, many, math.MaxInt64, true}, {fast, many, reserveLimit - 1, false},
		}},
		{"a pause is not an interval", []collection{
			{0, many, math.MaxInt64, false}, {fast, 0, math.MaxInt64, false}, {fast, many, math.MaxInt64, false},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r reserve
			now := time.Now()
			for i, c := range test.collections {
				now = now.Add(c.after)
				require.Equal(t, c.bytes > 0, r.judge(now, c.bytes, c.limit), "collection %d", i)
				require.Equal(t, c.holds, r.held.Cap() > 0, "collection %d", i)
			}
		})
	}
}

func TestSlabsAreCutAndNotCopied(t *testing.T) {
	p := &slabPool{size: blockSize, rest: blockSize / 2}
	for _, test := range []struct {
		name string
		n    int
		cut  bool
	}{
		{"small", 1, false}, {"the largest that is copied", copiedMessage, false},
		{"the smallest that is cut", copiedMessage + 1, true}, {"all", blockSize, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &slab{make([]byte, blockSize), p}
			memory := s.b
			s.b[0], s.b[test.n-1] = 7, 7
			m := s.take(test.n)
			require.Len(t, m, test.n)
			require.Equal(t, test.n, cap(m), "append by its owner must not write into memory of others")
			require.Equal(t, byte(7), m[0])
			require.Equal(t, byte(7), m[test.n-1])
			require.Equal(t, test.cut, &m[0] == &memory[0])
			if test.cut {
				require.Len(t, s.b, blockSize-test.n, "what was cut is not read into again")
			} else {
				require.Len(t, s.b, blockSize)
			}
		})
	}
}
