package load

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSequenceCountsWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		name    string
		numbers []uint64
		lost    int64
	}{
		{"nothing", []uint64{5, 6, 7}, 0},
		{"some", []uint64{5, 8, 9}, 2},
		{"late, not lost", []uint64{5, 8, 7, 9}, 1},
		{"not numbered", []uint64{7, 7, 7, 7}, 0},
		{"not numbered, not all the same", []uint64{7, 7, 100, 7}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWindow(Config{})
			w.open.Store(true)
			s := &sequence{window: w, tally: w.tally()}
			for _, n := range c.numbers {
				s.receive(binary.BigEndian.AppendUint64(nil, n))
			}
			require.Equal(t, c.lost, s.tally.lost.Load())
			require.Equal(t, int64(len(c.numbers)), s.tally.messages.Load())
		})
	}
}
