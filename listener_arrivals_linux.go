package chanio

import (
	"cmp"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"example.com/chanio/internal/readable"
	"example.com/chanio/internal/sock"
)

// arrivals waits, in one goroutine, for the first input of a listener's stream
// sessions. A session has no reader before that, which saves a goroutine and its
// stack while thousands of clients have connected and say nothing.
//
// Later input is the reader's alone: one goroutine that reads for many sessions
// would have to wait for the scheduler twice for each message.
type arrivals struct {
	once sync.Once
	file *os.File // the epoll instance (epoll(7)); nil if there is none
	rc   syscall.RawConn
	done chan struct{} // closed when run ends

	reg    *registry
	events []unix.EpollEvent // run's, reused
}

// arrivalBatch is how many sockets one system call reports.
const arrivalBatch = 64

// await reports whether the first input of s will start its reader. s may have
// ended already.
func (a *arrivals) await(s *Session, reg *registry) bool {
	t, ok := s.tr.(*stream)
	if !ok || t.raw == nil || len(t.first) > 0 || readable.Now(t.raw.rc) {
		return false
	}
	if a.once.Do(func() { a.open(reg) }); a.file == nil {
		return false
	}
	// An error means that the connection is closed, or that the kernel has no room.
	return a.control(t.raw.rc, unix.EPOLL_CTL_ADD, s.id) == nil && s.life().input() == inputOpen && !s.over()
}

// open makes the instance. Without descriptors there is none, and every session
// waits by itself.
func (a *arrivals) open(reg *registry) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return
	}
	if unix.SetNonblock(fd, true) != nil { // so that package os waits for it in Go's poller
		unix.Close(fd)
		return
	}
	if file := os.NewFile(uintptr(fd), "epoll"); !a.use(file, reg) {
		file.Close()
	}
}

// use makes file the instance and starts run, unless Go's poller does not wait for
// file: not every system lets one epoll instance watch another.
func (a *arrivals) use(file *os.File, reg *registry) bool {
	rc, err := file.SyscallConn()
	if err != nil || file.SetReadDeadline(time.Time{}) != nil {
		return false
	}
	a.file, a.rc, a.reg = file, rc, reg
	a.done, a.events = make(chan struct{}), make([]unix.EpollEvent, arrivalBatch)
	go a.run()
	return true
}

// close ends run. The listener calls it after its last session ends.
func (a *arrivals) close() {
	if a.once.Do(func() {}); a.file != nil {
		a.file.Close()
		<-a.done
	}
}

// run starts the readers of sessions that something has arrived for. use starts it;
// it ends with close.
func (a *arrivals) run() {
	defer close(a.done)
	a.rc.Read(a.harvest) // for all its life: a second Read would forget what was ready before
}

// harvest handles what is ready, and returns false to wait for more.
func (a *arrivals) harvest(epoll uintptr) bool {
	for {
		n, err := sock.IgnoreEINTR(func() (int, error) { return unix.EpollWait(int(epoll), a.events, 0) })
		if err != nil {
			return true // the instance is closed
		}
		for i := range a.events[:n] {
			id := arrivalID(&a.events[i])
			s, ok := a.reg.session(id)
			if !ok {
				continue // it has ended
			}
			a.control(s.tr.(*stream).raw.rc, unix.EPOLL_CTL_DEL, id) // from here on it has one watch: Go's poller
			s.heardOf()
		}
		if n < len(a.events) {
			return false
		}
	}
}

// control is epoll_ctl(2) for the socket of session id.
func (a *arrivals) control(socket syscall.RawConn, op int, id ID) (err error) {
	closed := a.rc.Control(func(epoll uintptr) {
		gone := socket.Control(func(fd uintptr) { err = unix.EpollCtl(int(epoll), op, int(fd), arrivalOf(id)) })
		err = cmp.Or(gone, err)
	})
	return cmp.Or(closed, err)
}

// arrivalOf returns what to report for session id, once. It holds the ID: a
// descriptor may be another session's by the time that the event is handled.
func arrivalOf(id ID) *unix.EpollEvent {
	return &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLRDHUP | unix.EPOLLONESHOT,
		Fd:     int32(uint32(id)), Pad: int32(uint32(id >> 32)),
	}
}

func arrivalID(e *unix.EpollEvent) ID { return ID(uint32(e.Fd)) | ID(uint32(e.Pad))<<32 }
