package server

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"example.com/chanio/benchmarks/internal/bench"
)

// A publisher multicasts messages until its server closes, as fast as it can or
// at a rate. It begins when all members have connected, so that connecting does
// not have to compete with the multicast.
type publisher struct {
	*Server
	multicast func(message []byte) error // must copy the message to keep it

	awaited atomic.Int64  // members
	opened  chan struct{} // closed by the last of them
}

// publish starts a publisher's goroutine, which ends with the server or an error
// of multicast. What multicast may be waiting for must end with the server.
func (s *Server) publish(multicast func(message []byte) error) *publisher {
	p := &publisher{Server: s, multicast: multicast, opened: make(chan struct{})}
	p.awaited.Store(int64(max(1, s.config.Clients)))
	s.wg.Go(p.run)
	return p
}

// enter counts a member in.
func (p *publisher) enter() {
	if p.awaited.Add(-1) == 0 {
		close(p.opened)
	}
}

const (
	breathMessages = 256              // published between two checks of the server's context
	breathTime     = time.Millisecond // between two bursts of a limited rate
)

func (p *publisher) run() {
	select {
	case <-p.opened:
	case <-p.ctx.Done():
		return
	}
	message := p.config.Message()
	rate := p.config.Messages
	tick := time.NewTicker(max(breathTime, time.Second/time.Duration(max(1, rate))))
	defer tick.Stop()
	began, sent := time.Now(), 0
	for p.ctx.Err() == nil {
		due := sent + breathMessages
		if rate > 0 {
			select {
			case now := <-tick.C: // by the clock, so that the mean holds however late a tick is
				due = int(now.Sub(began).Seconds() * float64(rate))
			case <-p.ctx.Done():
				return
			}
		}
		for ; sent < due; sent++ {
			if p.one(message) != nil {
				return
			}
		}
	}
}

// one publishes a message. Receivers of datagrams see by their numbers what is
// missing.
func (p *publisher) one(message []byte) error {
	switch {
	case p.config.Job == "fanout":
		binary.BigEndian.PutUint64(message, uint64(time.Now().UnixNano()))
	case p.config.Datagrams() && len(message) >= bench.NumberSize:
		binary.BigEndian.PutUint64(message, binary.BigEndian.Uint64(message)+1)
	}
	if p.Published == nil {
		return p.multicast(message)
	}
	began := time.Now()
	err := p.multicast(message)
	p.Published.Shard(0).Record(time.Since(began), 1)
	return err
}

// publishToGroup publishes with send to an IP multicast group, whose members it
// does not know.
func (s *Server) publishToGroup(send func(message []byte) error) {
	s.Addr = s.config.Address
	s.config.Clients = 1
	s.publish(send).enter()
}
