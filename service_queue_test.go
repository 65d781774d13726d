package chanio

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestPostQueueIsFirstInFirstOut(t *testing.T) {
	chunk := len(postChunk{}.fns)
	for _, tc := range []struct {
		name      string
		push, pop int // functions in turn, until many were pushed
	}{
		{"one in, one out", 1, 1},
		{"more in than out", 3, 2},
		{"a chunk in, a chunk out", chunk, chunk},
		{"a chunk and one in, a chunk out", chunk + 1, chunk},
		{"all in, all out", 10_000, 10_000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const many = 10_000
			var q postQueue
			var order []int
			pop := func(n int) {
				for range n {
					q.pop()(context.Background())
				}
			}
			for pushed := 0; pushed < many; {
				for range tc.push {
					number := pushed
					q.push(func(context.Context) { order = append(order, number) })
					pushed++
				}
				pop(tc.pop)
				require.Equal(t, pushed-len(order), q.len)
			}
			pop(q.len)
			for i, number := range order {
				require.Equal(t, i, number)
			}
			require.Zero(t, q.len)
			require.Same(t, q.head, q.tail)
		})
	}
}

func TestAnIdleServiceHoldsOneChunkOfItsQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewService(t.Context(), nil)
		defer s.Close()
		release := make(chan struct{})
		require.NoError(t, s.Post(func(context.Context) { <-release }))
		synctest.Wait()
		for range defaultPostQueue {
			if err := s.Post(func(context.Context) {}); err != nil {
				t.Fatal(err)
			}
		}
		close(release)
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		require.Zero(t, s.queue.len)
		require.Same(t, s.queue.head, s.queue.tail)
		require.Equal(t, postChunk{}, *s.queue.head, "it refers to nothing")
	})
}

func TestGoroutinesAreToldApart(t *testing.T) {
	mine, other := goroutineID(), make(chan uint64)
	require.NotZero(t, mine)
	require.Equal(t, mine, goroutineID())
	go func() { other <- goroutineID() }()
	require.NotEqual(t, mine, <-other)
}
