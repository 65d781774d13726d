//go:build unix

package soak

import (
	"math/rand/v2"
	"time"
)

// A service is what a client asks the server to do.
type service int

const (
	echo   service = iota // answer each message with one of the same size
	sink                  // receive
	source                // send, and be the first to close
	services
)

// An ending is how a client ends its conversation.
type ending int

const (
	orderly ending = iota // CloseWrite, and read to the end
	closing               // Close, without reading on
	reset                 // Abort in the middle
	endings
)

// A plan is everything that one client does but the timing, drawn from a seed.
type plan struct {
	ID        uint64
	Transport string
	Service   service
	Messages  int
	MaxSize   int
	Ending    ending
	EndAfter  int  // reset: how many messages are sent before it
	Connect   bool // by Connect, not Dial
	Queue     int  // Options.RecvQueue and SendQueue
	Batches   bool // it receives batches, and both sides send them too

	WriteStallAt, ReadStallAt int           // before which message it stalls
	Stall                     time.Duration // of the client, for both
	ServerStallAt             int           // before which message the server stalls
	ServerStall               time.Duration
	ServerAborts              int // after how many messages the server aborts; 0: never
}

// draw returns the plan of the client with that id.
func draw(rng *rand.Rand, id uint64, transports []string) plan {
	p := plan{
		ID:            id,
		Transport:     transports[rng.IntN(len(transports))],
		Service:       service(rng.IntN(int(services))),
		Messages:      1 + rng.IntN(40),
		MaxSize:       1 << (1 + rng.IntN(13)),
		Queue:         []int{-1, 1, 0, 64}[rng.IntN(4)],
		Connect:       rng.IntN(4) == 0,
		WriteStallAt:  -1,
		ReadStallAt:   -1,
		ServerStallAt: -1,
	}
	if rng.IntN(8) == 0 {
		p.MaxSize = maxData
	}
	// Most end as they should, because the promises are for those.
	if rng.IntN(2) == 0 {
		p.Ending = ending(rng.IntN(int(endings)))
	}
	p.EndAfter = rng.IntN(p.Messages + 1)
	stall := func() time.Duration { return time.Duration(rng.IntN(300)) * time.Millisecond }
	if rng.IntN(4) == 0 {
		p.Stall = stall()
		p.WriteStallAt, p.ReadStallAt = rng.IntN(p.Messages), rng.IntN(p.Messages)
	}
	if rng.IntN(4) == 0 {
		p.ServerStall = stall()
		p.ServerStallAt = rng.IntN(p.Messages)
	}
	if rng.IntN(16) == 0 {
		p.ServerAborts = 1 + rng.IntN(p.Messages)
	}
	p.Batches = rng.IntN(2) == 0
	return p
}

// size draws the size of the next data message.
func (p *plan) size(rng *rand.Rand) int { return rng.IntN(p.MaxSize + 1) }

// rand returns the source that one side of the conversation draws from.
func (p *plan) rand(side uint64) *rand.Rand { return rand.New(rand.NewPCG(p.ID, side)) }

// A report is the server's summary, for the client.
type report struct {
	Received, Sent int64 // bytes of the streams
	Joined         int64 // the number of the last hub message before it looked
	Published      int64 // and of the last one before it closed
}
