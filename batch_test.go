package chanio_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// batchOf returns a batch of messages.
func batchOf(messages ...string) *chanio.Batch {
	b := chanio.NewBatch()
	for _, m := range messages {
		b.Append([]byte(m))
	}
	return b
}

// messagesOf returns copies of the messages of b.
func messagesOf(b *chanio.Batch) (messages []string) {
	for i, m := range b.All() {
		if i != len(messages) {
			panic("All counts from 0")
		}
		messages = append(messages, string(m))
	}
	return messages
}

func TestABatchHasTheMessagesThatWereAppended(t *testing.T) {
	b := chanio.NewBatch()
	require.Zero(t, b.Len())
	require.Zero(t, b.Size())
	var want []string
	size := 0
	for i := range 300 {
		m := bytes.Repeat([]byte{byte(i)}, (i*i*i)%5000)
		if i%2 == 0 {
			b.Append(m)
		} else {
			b.AppendFunc(func(dst []byte) []byte {
				require.Empty(t, dst)
				return append(dst, m...)
			})
		}
		want = append(want, string(m))
		size += len(m)
	}
	require.Equal(t, len(want), b.Len())
	require.Equal(t, size, b.Size())
	require.Equal(t, want, messagesOf(b))
	require.Equal(t, len(b.At(7)), cap(b.At(7)))
	wire, ok := b.Wire(nil)
	require.True(t, ok)
	require.Len(t, wire, size)
	b.Release()
}

func TestAMessageMayBeAppendedToItsOwnBatch(t *testing.T) {
	b := batchOf("once")
	for b.Len() < 20 {
		b.Append(bytes.Repeat(b.At(b.Len()-1), 2))
		b.Append(b.At(b.Len() - 1))
	}
	for i := 1; i+1 < b.Len(); i += 2 {
		require.True(t, bytes.Equal(b.At(i), b.At(i+1)), "message %d", i)
	}
}

func TestAppendFuncTakesAnySliceThatTheFunctionReturns(t *testing.T) {
	b := chanio.NewBatch()
	elsewhere := []byte("elsewhere")
	b.AppendFunc(func(dst []byte) []byte { return elsewhere })
	b.AppendFunc(func(dst []byte) []byte { return nil })
	b.AppendFunc(func(dst []byte) []byte { return append(dst, "0123456789"...)[3:] })
	b.AppendFunc(func(dst []byte) []byte { return append(dst, "0123456789"...)[:4] })
	b.AppendFunc(func(dst []byte) []byte { return append(dst, make([]byte, 100_000)...) })
	elsewhere[0] = 'E'
	got := messagesOf(b)
	require.Equal(t, []string{"elsewhere", "", "3456789", "0123"}, got[:4])
	require.Len(t, got[4], 100_000)
}

func TestASentBatchIsEmptyAndIgnoresAppends(t *testing.T) {
	for name, end := range map[string]func(b *chanio.Batch){
		"released":       (*chanio.Batch).Release,
		"released twice": func(b *chanio.Batch) { b.Release(); b.Release() },
		"written":        func(b *chanio.Batch) { require.NoError(t, b.TakeFor(1)); b.Recycle() },
		"put":            func(b *chanio.Batch) { require.NoError(t, b.PutFor(1)); require.NoError(t, b.TakeFor(1)); b.Recycle() },
	} {
		t.Run(name, func(t *testing.T) {
			b := batchOf("a", "b")
			end(b)
			b.Append([]byte("c"))
			b.AppendFunc(func(dst []byte) []byte { t.Error("called"); return dst })
			b.Release()
			require.Zero(t, b.Len())
			require.Zero(t, b.Size())
			require.Empty(t, slices.Collect(func(yield func(int) bool) {
				for i := range b.All() {
					yield(i)
				}
			}))
			require.ErrorIs(t, b.PutFor(2), chanio.ErrBatchGone)
			require.ErrorIs(t, b.TakeFor(2), chanio.ErrBatchGone)
		})
	}
}

func TestABatchGoesToOneSessionOnly(t *testing.T) {
	b := batchOf("a")
	require.NoError(t, b.PutFor(1))
	require.Error(t, b.PutFor(1), "twice")
	require.Error(t, b.PutFor(2), "it belongs to another")
	require.Error(t, b.TakeFor(2))
	b.Release() // is nothing: it is not the user's
	require.Equal(t, 1, b.Len())
	require.NoError(t, b.TakeFor(1))
	require.Error(t, b.TakeFor(1))
	require.Error(t, (*chanio.Batch)(nil).PutFor(1))
}

func TestTwoBatchesNeverShareMemory(t *testing.T) {
	// Two batches never share memory, no matter what is released in between.
	var live []*chanio.Batch
	for i := range 200 {
		b := batchOf(fmt.Sprint("message ", i), fmt.Sprint("and ", i))
		if i%3 == 0 {
			b.Release()
			b.Release()
			continue
		}
		live = append(live, b)
	}
	for k, b := range live {
		i := k + k/2 + 1
		require.Equal(t, []string{fmt.Sprint("message ", i), fmt.Sprint("and ", i)}, messagesOf(b))
	}
}

func TestAMessageKeptBeyondReleaseIsSeenAsOverwritten(t *testing.T) {
	if !raceEnabled {
		t.Skip("released memory is overwritten only under -race")
	}
	b := batchOf("hello")
	kept := b.At(0)
	b.Release()
	require.Equal(t, bytes.Repeat([]byte{0xDB}, 5), kept)
}

func TestABatchRefusesAMessageThatItsIndexCannotTell(t *testing.T) {
	if math.MaxInt == math.MaxInt32 || raceEnabled {
		t.Skip("no message is that long, or the race detector's shadow of it is not free")
	}
	size := uint64(math.MaxUint32) + 1
	huge := make([]byte, size) // which nobody touches, so it costs no memory
	b := chanio.NewBatch()
	b.Append(huge)
	require.Zero(t, b.Len())
	b = chanio.NewBatch()
	b.Append([]byte("a"))
	b.Append(huge[1:])
	require.Equal(t, 1, b.Len())
	s, _ := memSession(t, nil)
	require.ErrorIs(t, s.PutBatch(b), chanio.ErrMessageTooLarge)
}
