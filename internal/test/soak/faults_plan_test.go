//go:build unix

package soak

import (
	"math/rand/v2"
	"time"

	"example.com/chanio"
)

// A way is how a side of an exchange ends it.
type way int

const (
	finish way = iota // CloseWrite once everything is sent, read to the end, Close
	shut              // Close, in the middle or at the end
	abort             // Abort, in the middle
	cancel            // the end of its context, in the middle
	hangUp            // the connection is closed beneath the session, with input unread
	forget            // it neither reads nor writes any more, and gives up later
	ways
)

var wayNames = [ways]string{"finish", "shut", "abort", "cancel", "hang up", "forget"}

func (w way) String() string { return wayNames[w] }

// A role is what a side of an exchange does, drawn from a seed.
type role struct {
	Way        way
	EndAt      int // before which message it ends, unless Way is finish
	Messages   [lanes]int
	MaxSize    int
	Batches    bool          // it receives batches
	ReadEvery  int           // it pauses after this many messages; 0: never
	Pause      time.Duration // for how long
	Queue      int           // RecvQueue and SendQueue
	WriteAfter time.Duration // WriteTimeout
	CloseAfter time.Duration // CloseTimeout and HalfCloseTimeout
	Small      bool          // the kernel's buffers are small
}

// drawRole draws what one side does.
func drawRole(rng *rand.Rand) role {
	p := role{
		MaxSize:    1 << (1 + rng.IntN(13)),
		Batches:    rng.IntN(2) == 0,
		Queue:      []int{-1, 1, 0}[rng.IntN(3)],
		WriteAfter: timeout,
		CloseAfter: timeout,
		Small:      rng.IntN(2) == 0,
	}
	for lane := range p.Messages {
		if rng.IntN(4) > 0 {
			p.Messages[lane] = rng.IntN(60)
		}
	}
	if rng.IntN(2) == 0 {
		p.Way = way(rng.IntN(int(ways)))
	}
	p.EndAt = rng.IntN(p.Messages[single] + 1)
	if rng.IntN(8) == 0 {
		p.MaxSize = maxData - 8
	}
	if rng.IntN(2) == 0 {
		p.ReadEvery, p.Pause = 1+rng.IntN(30), time.Duration(rng.IntN(40))*time.Millisecond
	}
	if rng.IntN(4) == 0 {
		p.WriteAfter = time.Duration(100+rng.IntN(300)) * time.Millisecond
	}
	if rng.IntN(4) == 0 {
		p.CloseAfter = time.Duration(100+rng.IntN(300)) * time.Millisecond
	}
	return p
}

// sizeFor returns how large the role's messages may be to a peer with that role.
// Through small buffers, TCP on loopback moves some 80 KB a second, because a
// segment does not fit.
func (p role) sizeFor(peer role, at place) int {
	switch {
	case at.keepsMessages(): // else no packet holds them
		return min(p.MaxSize, 4000)
	case p.Small || peer.Small:
		return min(p.MaxSize, 1<<13)
	}
	return p.MaxSize
}

// options returns the options that the role needs.
func (p role) options(at place) *chanio.Options {
	o := at.options(p.Queue)
	o.WriteTimeout, o.CloseTimeout, o.HalfCloseTimeout = p.WriteAfter, p.CloseAfter, p.CloseAfter
	if p.Way == hangUp { // after the peer's end, nothing else tells the session
		o.HalfCloseTimeout = min(p.CloseAfter, time.Second)
	}
	if p.Small {
		o.WriteBuffer, o.ReadBuffer = 8<<10, 8<<10
	}
	return o
}
