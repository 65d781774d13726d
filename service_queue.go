package chanio

import (
	"context"
	"sync"
)

// postQueue holds functions that were posted to a [Service] and have not begun,
// first in, first out. It is a list of chunks from a pool shared by all
// services: push and pop cost the same at any length, and an empty queue holds
// at most one chunk. The zero value is empty.
type postQueue struct {
	len        int
	head, tail *postChunk // nil before the first push
	popped     int        // how many of head's functions were popped
}

// postChunk is a part of a queue. It takes half a KiB.
type postChunk struct {
	fns    [62]func(context.Context)
	pushed int // how many of fns were pushed
	next   *postChunk
}

var postChunks = sync.Pool{New: func() any { return new(postChunk) }}

func (q *postQueue) push(fn func(context.Context)) {
	switch {
	case q.tail == nil:
		q.tail = postChunks.Get().(*postChunk)
		q.head = q.tail
	case q.tail.pushed == len(q.tail.fns):
		q.tail.next = postChunks.Get().(*postChunk)
		q.tail = q.tail.next
	}
	q.tail.fns[q.tail.pushed] = fn
	q.tail.pushed++
	q.len++
}

// pop removes the oldest function. The queue must not be empty.
func (q *postQueue) pop() func(context.Context) {
	c := q.head
	fn := c.fns[q.popped]
	c.fns[q.popped] = nil
	q.popped++
	q.len--
	if q.popped < c.pushed {
		return fn
	}
	q.popped, c.pushed = 0, 0 // c is used up
	if c.next != nil {
		q.head, c.next = c.next, nil
		postChunks.Put(c)
	}
	return fn
}
