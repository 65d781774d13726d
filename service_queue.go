package chanio

import (
	"context"
	"sync"
)

// postQueue is what was posted to a [Service] and has not begun: first in,
// first out. It is a list of chunks, which services have from one pool, so that
// push and pop cost the same however long it is, and an empty one holds a chunk
// at most. The zero value is empty.
type postQueue struct {
	len        int
	head, tail *postChunk // nil before the first push
	popped     int        // how many of head's functions were
}

// postChunk is a part of a queue. It takes half a KiB.
type postChunk struct {
	fns    [62]func(context.Context)
	pushed int // how many of fns were
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

// pop takes out the function that was pushed first. There must be one.
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
