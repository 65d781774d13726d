package server

import (
	"encoding/binary"
	"sync"
	"time"

	"example.com/chanio/benchmarks/internal/stamp"
)

// A publisher multicasts messages until it is stopped, as fast as it can or at a
// rate. It begins when enough members have connected, so that connecting does
// not have to compete with the multicast.
type publisher struct {
	config    Config
	multicast func(message []byte) error // must copy the message to keep it

	opened chan struct{} // closed by the last member awaited
	quit   chan struct{} // closed by stop
	wg     sync.WaitGroup

	mu      sync.Mutex
	awaited int // members
}

// startPublisher starts the publisher's goroutine, which ends with stop or an
// error of multicast.
func startPublisher(c Config, multicast func([]byte) error) *publisher {
	p := &publisher{
		config: c, multicast: multicast, awaited: max(1, c.Members),
		opened: make(chan struct{}), quit: make(chan struct{}),
	}
	p.wg.Go(p.run)
	return p
}

// enter counts a member in.
func (p *publisher) enter() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.awaited--; p.awaited == 0 {
		close(p.opened)
	}
}

// stop makes the publisher end.
func (p *publisher) stop() { close(p.quit) }

// wait waits until it has. Whatever multicast may be waiting for must have ended
// before.
func (p *publisher) wait() { p.wg.Wait() }

const (
	breathMessages = 256              // published between two checks of quit
	breathTime     = time.Millisecond // between two bursts of a limited rate
)

func (p *publisher) run() {
	select {
	case <-p.opened:
	case <-p.quit:
		return
	}
	message := newMessage(p.config.Size)
	if p.config.Rate > 0 {
		p.pace(message)
		return
	}
	for {
		select {
		case <-p.quit:
			return
		default:
		}
		for range breathMessages {
			if p.publish(message) != nil {
				return
			}
		}
	}
}

// pace publishes what is due by the clock, so that the mean rate holds however
// late a tick is.
func (p *publisher) pace(message []byte) {
	tick := time.NewTicker(max(breathTime, time.Second/time.Duration(p.config.Rate)))
	defer tick.Stop()
	began, sent := time.Now(), 0
	for {
		select {
		case <-p.quit:
			return
		case now := <-tick.C:
			due := int(now.Sub(began).Seconds() * float64(p.config.Rate))
			for ; sent < due; sent++ {
				if p.publish(message) != nil {
					return
				}
			}
		}
	}
}

// publish publishes one message. Receivers of datagrams see by their numbers
// what is missing.
func (p *publisher) publish(message []byte) error {
	const number = 8 // bytes
	switch {
	case p.config.Stamp:
		stamp.Put(message)
	case p.config.Endpoint.Datagrams() && len(message) >= number:
		binary.BigEndian.PutUint64(message, binary.BigEndian.Uint64(message)+1)
	}
	if p.config.Published == nil {
		return p.multicast(message)
	}
	began := time.Now()
	err := p.multicast(message)
	p.config.Published.Shard(0).Record(time.Since(began), 1)
	return err
}

// newMessage returns a message of size bytes.
func newMessage(size int) []byte {
	m := make([]byte, size)
	for i := range m {
		m[i] = byte('a' + i%26)
	}
	return m
}
