package server

import (
	"encoding/binary"
	"sync"
	"time"

	"example.com/chanio/benchmarks/internal/stamp"
)

// A publisher multicasts messages from when enough members have connected until
// it is stopped, as fast as it can or at a rate.
type publisher struct {
	*gate
	config    Config
	multicast func(message []byte) error // must copy the message to keep it

	published uint64 // messages so far

	wg   sync.WaitGroup
	quit chan struct{} // closed by stop
}

// startPublisher starts the publisher's goroutine, which ends with stop or an
// error of multicast.
func startPublisher(c Config, multicast func([]byte) error) *publisher {
	p := &publisher{gate: newGate(c.Members), config: c, multicast: multicast, quit: make(chan struct{})}
	p.wg.Go(p.run)
	return p
}

// stop ends the publisher and waits for it. Whatever multicast may be waiting
// for must have ended before.
func (p *publisher) stop() {
	close(p.quit)
	p.wg.Wait()
}

// numberSize is how many bytes of a datagram its number takes. Receivers use the
// number to see what is missing.
const numberSize = 8

// breath is how many messages are published between two checks of quit, and the
// time between two bursts of a limited rate.
const (
	breathMessages = 256
	breathTime     = time.Millisecond
)

func (p *publisher) run() {
	select {
	case <-p.opened:
	case <-p.quit:
		return
	}
	message := newMessage(p.config.Size)
	if p.config.Rate == 0 {
		p.flood(message)
		return
	}
	p.pace(message)
}

func (p *publisher) flood(message []byte) {
	for !p.stopped() {
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

func (p *publisher) publish(message []byte) error {
	switch {
	case p.config.Stamp:
		stamp.Put(message)
	case p.config.Endpoint.Datagrams() && len(message) >= numberSize:
		binary.BigEndian.PutUint64(message, p.published)
	}
	p.published++
	if p.config.Published == nil {
		return p.multicast(message)
	}
	began := time.Now()
	err := p.multicast(message)
	p.config.Published.Shard(0).Record(time.Since(began), 1)
	return err
}

func (p *publisher) stopped() bool {
	select {
	case <-p.quit:
		return true
	default:
		return false
	}
}

// newMessage returns a message of size bytes.
func newMessage(size int) []byte {
	m := make([]byte, size)
	for i := range m {
		m[i] = byte('a' + i%26)
	}
	return m
}
