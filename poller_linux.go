package chanio

import (
	"cmp"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// pollersFrom is how many sessions a listener must have for a further one to get
// a poller: with few, there is nothing to gather.
const pollersFrom = 8

// pollers wait for the sockets of a listener's sessions: as many as there are
// threads that run Go code at a time, each for as long as it has sockets.
//
// A session that has none waits in its reader's goroutine, in Go's poller. That
// costs a read that finds nothing behind each one that does, since Go does not
// tell whether more, an end or a reset came with the data, and a wake-up of the
// reader. An epoll instance of our own tells, and one goroutine reads for all that
// are ready. With 100 clients that have one message in flight that is a tenth of
// the server's time, and a goroutine a session less to hold in memory.
type pollers struct {
	running sync.WaitGroup // the pollers' goroutines

	mu  sync.Mutex // never held across anything that blocks
	all []*poller  // by the remainder of the sessions' IDs; nil where none is needed
}

// join returns the poller for r, which r is to leave; nil if there is none.
func (p *pollers) join(r *polledReader) *poller {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = make([]*poller, runtime.GOMAXPROCS(0))
	}
	q := &p.all[p.index(r)]
	if *q == nil {
		made, err := newPoller()
		if err != nil {
			return nil // no descriptors: the session's reader waits by itself
		}
		*q = made
		p.running.Go(made.run)
	}
	(*q).members++
	return *q
}

// leave gives up what join has returned. The last to leave ends the poller.
func (p *pollers) leave(r *polledReader) {
	p.mu.Lock()
	q := p.all[p.index(r)]
	q.members--
	last := q.members == 0
	if last {
		p.all[p.index(r)] = nil
	}
	p.mu.Unlock()
	if last {
		q.file.Close() // which run does not outlast
	}
}

func (p *pollers) index(r *polledReader) int { return int(r.session.id % ID(len(p.all))) }

// wait returns when the last poller has ended, behind the last session.
func (p *pollers) wait() { p.running.Wait() }

// pollBatch is how many sockets one system call tells of.
const pollBatch = 128

// A poller is an epoll instance (epoll(7)) and the goroutine that waits for it,
// in Go's own poller: an epoll instance is itself something to wait for.
type poller struct {
	file    *os.File        // the instance
	rc      syscall.RawConn // the same
	members int             // guarded by pollers.mu

	mu      sync.Mutex // never held across anything that blocks
	readers map[ID]*polledReader

	// run's
	events [pollBatch]unix.EpollEvent
	ready  []readiness
}

// readiness is what an event says.
type readiness struct {
	reader *polledReader
	more   bool // behind the data is something else: the end, an error, urgent data
}

// pollEvents are what a poller is told of: all that a reader wants to know.
const pollEvents = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLPRI | unix.EPOLLET

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that os takes it for something to wait for
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller{file: os.NewFile(uintptr(fd), "epoll"), readers: make(map[ID]*polledReader)}
	if p.rc, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, err
	}
	return p, nil
}

// run is the poller's goroutine. join starts it; it ends when the instance is
// closed.
func (p *poller) run() { p.rc.Read(p.harvest) }

// harvest handles the events that there are, and never has enough: it returns
// false to be called again when there are more. It is within one RawConn.Read for
// all its life, since the next one would forget what has become ready meanwhile.
func (p *poller) harvest(fd uintptr) bool {
	for {
		n, err := ignoreEINTR(func() (int, error) { return epollNow(int(fd), p.events[:]) })
		if err != nil {
			return true // the instance is closed: nothing else is wrong with it
		}
		p.resolve(p.events[:n])
		for _, e := range p.ready {
			e.reader.step(e.more)
		}
		clear(p.ready) // or they would keep sessions that have gone
		if n < len(p.events) {
			return false
		}
	}
}

// resolve makes ready of events. Readers that were removed have none.
func (p *poller) resolve(events []unix.EpollEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = p.ready[:0]
	for i := range events {
		e := &events[i]
		if r := p.readers[eventID(e)]; r != nil {
			p.ready = append(p.ready, readiness{r, e.Events&^unix.EPOLLIN != 0})
		}
	}
}

// An event carries the ID of the session in the 64 bits that the kernel leaves to
// us: a descriptor may be another session's by the time that it is looked at.
func eventOf(id ID) *unix.EpollEvent {
	return &unix.EpollEvent{Events: pollEvents, Fd: int32(id), Pad: int32(id >> 32)}
}

func eventID(e *unix.EpollEvent) ID { return ID(uint32(e.Fd)) | ID(uint32(e.Pad))<<32 }

// add watches r's socket. Its events are edges: the first comes at once if there
// is something to read already.
func (p *poller) add(r *polledReader) bool {
	p.mu.Lock()
	p.readers[r.session.id] = r
	p.mu.Unlock()
	if err := p.control(r, unix.EPOLL_CTL_ADD); err != nil {
		p.forget(r)
		return false
	}
	return true
}

// remove watches r's socket no more.
func (p *poller) remove(r *polledReader) {
	p.forget(r)
	// An error means that the socket is closed, and so out of the instance.
	_ = p.control(r, unix.EPOLL_CTL_DEL)
}

func (p *poller) forget(r *polledReader) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.readers, r.session.id)
}

// control is epoll_ctl(2) for r's socket.
func (p *poller) control(r *polledReader, op int) error {
	var err error
	closed := p.rc.Control(func(epfd uintptr) {
		closed := r.conn.rc.Control(func(fd uintptr) {
			err = unix.EpollCtl(int(epfd), op, int(fd), eventOf(r.session.id))
		})
		err = cmp.Or(closed, err)
	})
	return cmp.Or(closed, err)
}
