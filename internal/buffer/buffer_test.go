package buffer

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGetReturnsAtLeastTheSizeAndNotMuchMore(t *testing.T) {
	for _, size := range []int{0, 1, Small, Small + 1, 64 << 10, Large, Large + 1, 128 << 10, 128<<10 + 1, 1 << 20, 1<<20 + 4, MaxPooled, MaxPooled + 1} {
		b := Get(size)
		require.GreaterOrEqual(t, len(b.B), size)
		require.LessOrEqual(t, len(b.B), max(Large, 2*size), "size %d", size)
		require.Empty(t, b.Spans)
		b.Spans = append(b.Spans, Span{0, 1})
		b.Free()
		again := Get(size)
		require.Empty(t, again.Spans)
		again.Free()
	}
}

func TestEverySizeClassContainsItsOwnSize(t *testing.T) {
	for class := range classes {
		require.Equal(t, class, classOf(sizeOf(class)))
		require.Equal(t, class, classOf(sizeOf(class)-1))
	}
	require.Equal(t, MaxPooled, sizeOf(classes-1))
}

func TestAnIndexOfManyMessagesIsNotKept(t *testing.T) {
	b := Get(Small)
	b.Spans = make([]Span, maxSpans+1)
	b.Free()
	require.Empty(t, b.Spans)
	require.LessOrEqual(t, cap(b.Spans), maxSpans)
}
