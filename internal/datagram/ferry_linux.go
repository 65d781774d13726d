package datagram

import (
	"errors"
	"os"
	"runtime"
	"sync"
)

// ferryPackets is how many datagrams a ferry takes along at most, but for those
// of one writer.
const ferryPackets = 256

// A ferry takes what goroutines write at the same time along in one system call:
// the first of them waits for those who are about to write, and sends for all.
type ferry struct {
	send func([]Packet) (int, error) // as [Conn.Write]; called by one at a time
	free sync.Pool                   // of passengers

	mu      sync.Mutex
	waiting []*passenger // the first leads, or was told to
}

// A passenger is what one goroutine writes.
type passenger struct {
	packets []Packet
	n       int // of them were sent
	err     error
	lead    chan bool // one slot, sent by the one who leads: lead now, else it is done
}

// write sends ps, as [Conn.Write].
func (f *ferry) write(ps []Packet) (n int, err error) {
	p, ok := f.free.Get().(*passenger)
	if !ok {
		p = &passenger{lead: make(chan bool, 1)}
	}
	p.packets = ps
	if f.board(p) || <-p.lead {
		// Who has something to send and lacks but a processor comes along.
		runtime.Gosched()
		group := f.group()
		f.carry(group)
		f.land(group)
	}
	n, err = p.n, p.err
	p.packets, p.n, p.err = nil, 0, nil
	f.free.Put(p)
	return n, err
}

// board lets p wait. It reports whether p leads.
func (f *ferry) board(p *passenger) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(f.waiting, p)
	return len(f.waiting) == 1
}

// group returns who goes together, the one who leads first. They stay in waiting,
// so that nobody else leads.
func (f *ferry) group() []*passenger {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, packets := 0, 0
	for n < len(f.waiting) && (n == 0 || packets+len(f.waiting[n].packets) <= ferryPackets) {
		packets += len(f.waiting[n].packets)
		n++
	}
	return f.waiting[:n:n]
}

// land lets go of who went together, and the next one lead.
func (f *ferry) land(group []*passenger) {
	for _, p := range group[1:] {
		p.lead <- false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := copy(f.waiting, f.waiting[len(group):])
	clear(f.waiting[n:])
	f.waiting = f.waiting[:n]
	if n > 0 {
		f.waiting[0].lead <- true
	}
}

// A cargo is the packets of a group, in pooled memory.
type cargo struct{ packets []Packet }

var cargoes = sync.Pool{New: func() any { return new(cargo) }}

// carry sends what the goroutines of group write. What can't be sent ends the
// write that it is of, and no other.
func (f *ferry) carry(group []*passenger) {
	if len(group) == 1 {
		group[0].n, group[0].err = f.send(group[0].packets)
		return
	}
	c := cargoes.Get().(*cargo)
	for _, p := range group {
		c.packets = append(c.packets, p.packets...)
	}
	for rest := c.packets; len(rest) > 0; {
		n, err := f.send(rest)
		for ; len(group) > 0 && n >= len(group[0].packets); group = group[1:] {
			group[0].n = len(group[0].packets)
			n -= group[0].n
			rest = rest[group[0].n:]
		}
		if err == nil {
			break
		}
		rest = rest[len(group[0].packets):]
		group[0].n, group[0].err = n, err
		group = group[1:]
		if errors.Is(err, os.ErrDeadlineExceeded) { // the others have waited as long
			for _, p := range group {
				p.err = err
			}
			break
		}
	}
	clear(c.packets)
	c.packets = c.packets[:0]
	cargoes.Put(c)
}
