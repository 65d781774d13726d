package natsroom_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"example.com/chanio"
	"example.com/chanio/natsroom"
)

// A crowd is a node under test: members that keep what they hear, and
// publishers that number their messages. It runs in this process or in one that
// is killed.
type crowd struct {
	hub        *chanio.Hub
	room       *natsroom.Room
	ears       []*ear
	publishers []*publisher
	running    sync.WaitGroup
	stop       chan struct{}
	stopped    bool
}

// crowdConfig is the configuration of a node's process.
type crowdConfig struct {
	URL                         string
	Room                        string
	History                     *natsroom.History
	Number, Members, Publishers int
	Pad                         int           // bytes that are added to a message
	Pause                       time.Duration // between two messages of a publisher
	Ping                        time.Duration
	MaxLag                      int    // of its hub
	ReadBuffer                  int    // of its connection
	Embedded                    string // start a server in the process, at this address
	Dir                         string
}

// A publisher publishes "ID SEQ PAD", from SEQ 1 on.
type publisher struct {
	id   int
	said atomic.Int64 // what counts as published
}

// An ear is a member's peer. The first of a crowd keeps all lines, the others
// keep a sum of them.
type ear struct {
	s     *chanio.Session
	conn  net.Conn
	first bool
	ended chan struct{}

	mu    sync.Mutex
	lines int
	sum   uint64
	said  []said
	rest  []byte
}

// said is one line: its publisher and its number.
type said [2]int32

var crcTable = crc64.MakeTable(crc64.ECMA)

func newCrowd(nc *nats.Conn, c *crowdConfig) (*crowd, error) {
	w := &crowd{hub: chanio.NewHub(context.Background(), &chanio.Options{MaxLag: c.MaxLag}), stop: make(chan struct{})}
	var err error
	w.room, err = natsroom.Join(context.Background(), nc, c.Room, w.hub, &natsroom.Options{History: c.History, PublishTimeout: time.Minute, JoinTimeout: patience})
	if err != nil {
		w.hub.Close()
		return nil, err
	}
	for i := range c.Members {
		conn, peer := net.Pipe()
		e := &ear{s: chanio.NewSession(context.Background(), conn, &chanio.Options{WriteTimeout: -1}), conn: peer, first: i == 0, ended: make(chan struct{})}
		w.ears = append(w.ears, e)
		if err := w.hub.Join(e.s); err != nil {
			return nil, err
		}
		go e.listen()
	}
	for i := range c.Publishers {
		w.publishers = append(w.publishers, &publisher{id: 100*c.Number + i})
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return w, w.room.Flush(ctx)
}

// listen reads until the session ends.
func (e *ear) listen() {
	defer close(e.ended)
	buf := make([]byte, 64<<10)
	for {
		n, err := e.conn.Read(buf)
		e.hear(buf[:n])
		if err != nil {
			return
		}
	}
}

func (e *ear) hear(b []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sum = crc64.Update(e.sum, crcTable, b)
	e.lines += bytes.Count(b, []byte("\n"))
	if !e.first {
		return
	}
	for len(b) > 0 {
		line, after, whole := bytes.Cut(b, []byte("\n"))
		e.rest = append(e.rest, line...)
		if whole {
			var id, seq int32
			if _, err := fmt.Sscanf(string(e.rest[:min(len(e.rest), 24)]), "%d %d", &id, &seq); err != nil {
				id, seq = -1, -1 // the model finds it
			}
			e.said = append(e.said, said{id, seq})
			e.rest = e.rest[:0]
		}
		b = after
	}
}

// start makes the publishers publish until halt, or until each has published n
// messages if n is not 0.
func (w *crowd) start(c *crowdConfig, n int) {
	pad := bytes.Repeat([]byte("."), c.Pad)
	for _, p := range w.publishers {
		w.running.Go(func() { p.run(w, pad, c.Pause, n) })
	}
}

func (p *publisher) run(w *crowd, pad []byte, pause time.Duration, n int) {
	var tick <-chan time.Time
	if pause > 0 {
		t := time.NewTicker(pause)
		defer t.Stop()
		tick = t.C
	}
	for seq := int64(1); n == 0 || seq <= int64(n); {
		err := w.room.Publish(fmt.Appendf(nil, "%d %d %s\n", p.id, seq, pad))
		switch {
		case errors.Is(err, nats.ErrReconnectBufExceeded):
		case errors.Is(err, chanio.ErrClosed):
			return
		default: // it counts even after an error of the connection
			p.said.Store(seq)
			seq++
		}
		select {
		case <-w.stop:
			return
		default:
		}
		if tick == nil { // as fast as the server takes it, else messages would be lost
			if seq%64 == 0 {
				w.room.Flush(context.Background())
			}
			continue
		}
		select {
		case <-w.stop:
			return
		case <-tick:
		}
	}
}

// halt stops the publishers, and waits until the server has their messages.
func (w *crowd) halt() error {
	if !w.stopped {
		close(w.stop)
		w.stopped = true
	}
	w.running.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return w.room.Flush(ctx)
}

func (w *crowd) close() {
	if !w.stopped {
		close(w.stop)
	}
	w.room.Close()
	w.hub.Close()
	for _, e := range w.ears {
		e.s.Abort(nil)
		e.conn.Close()
		<-e.ended
		<-e.s.Done()
	}
	w.running.Wait()
}

// A report is what a crowd has heard and published.
type report struct {
	Published map[int]int64
	Lagged    int64
	Members   int // of all nodes
	Said      []said
	Alike     bool // all members heard the same
	Ended     int  // members whose sessions ended
	Late      bool // others had published before
}

func (w *crowd) report() report {
	r := report{Published: make(map[int]int64), Members: w.room.Members(), Alike: true}
	for _, p := range w.publishers {
		r.Published[p.id] = p.said.Load()
	}
	r.Lagged = w.room.Stats().MessagesDropped
	lines, sum := -1, uint64(0)
	for _, e := range w.ears {
		if e.s.Context().Err() != nil {
			r.Ended++
			continue
		}
		e.mu.Lock()
		if lines < 0 {
			lines, sum = e.lines, e.sum
			r.Said = append(r.Said, e.said...)
		}
		r.Alike = r.Alike && e.lines == lines && e.sum == sum
		e.mu.Unlock()
	}
	return r
}

// published returns how much each publisher has published, all nodes together.
func published(reports []report) map[int]int64 {
	all := make(map[int]int64)
	for _, r := range reports {
		maps.Copy(all, r.Published)
	}
	return all
}

// missing checks what a node heard. It returns how many messages are missing,
// of those in published and, of other publishers, up to the last heard; or an
// error if what was heard is impossible. For a late node only messages after
// the first one of each publisher count.
func (r *report) missing(published map[int]int64) (n int64, err error) {
	next := make(map[int]int64)
	for _, s := range r.Said {
		id, seq := int(s[0]), int64(s[1])
		if next[id] == 0 && r.Late {
			next[id] = seq - 1
		}
		if seq <= next[id] {
			return n, fmt.Errorf("message %d of %d arrived again, or late, after %d", seq, id, next[id])
		}
		n += seq - next[id] - 1
		next[id] = seq
	}
	for id, all := range published {
		if next[id] > 0 || !r.Late {
			n += all - next[id]
		}
	}
	return n, nil
}

// gaps describes the missing messages.
func (r *report) gaps(published map[int]int64) (gaps []string) {
	next := make(map[int]int64)
	for at, s := range r.Said {
		id, seq := int(s[0]), int64(s[1])
		if seq != next[id]+1 {
			gaps = append(gaps, fmt.Sprintf("%d: %d to %d, at %d of %d", id, next[id]+1, seq-1, at, len(r.Said)))
		}
		next[id] = seq
	}
	for id, all := range published {
		if next[id] != all {
			gaps = append(gaps, fmt.Sprintf("%d: %d to %d, at the end", id, next[id]+1, all))
		}
	}
	return gaps[:min(len(gaps), 20)]
}

// settled reports whether each node has heard everything that is not reported as
// lost.
func settled(reports []report) bool {
	all := published(reports)
	for _, r := range reports {
		if n, err := r.missing(all); !r.Alike || n > r.Lagged && err == nil {
			return false
		}
	}
	return true
}

// check is the model: what the reports of the surviving nodes may say. It
// returns how many messages were lost, were reported as lost, and arrived twice,
// all nodes together.
func check(t testing.TB, reports []report, history bool) (lost, told, twice int64) {
	t.Helper()
	all := published(reports)
	for i, r := range reports {
		if !r.Alike {
			t.Errorf("node %d: its members did not hear the same", i)
		}
		missing, err := r.missing(all)
		if err != nil {
			twice++
			t.Errorf("node %d: %v", i, err)
		}
		lost += missing
		told += r.Lagged
		// A late node may have had more losses reported before its first message
		// than the model sees.
		if missing != r.Lagged && (!r.Late || missing > r.Lagged) {
			t.Errorf("node %d: %d messages are missing, %d are reported", i, missing, r.Lagged)
		}
		if history && missing > 0 {
			t.Errorf("node %d: %d messages are missing: %v", i, missing, r.gaps(all))
		}
	}
	if history {
		checkOrder(t, reports)
	}
	return lost, told, twice
}

// checkOrder fails unless any two nodes heard their common messages in the same
// order.
func checkOrder(t testing.TB, reports []report) {
	t.Helper()
	for i := 1; i < len(reports); i++ {
		place := make(map[said]int, len(reports[0].Said))
		for k, s := range reports[0].Said {
			place[s] = k
		}
		last := -1
		if reports[i].Late {
			continue // it may hear a repeated message as if it were new
		}
		for _, s := range reports[i].Said {
			k, both := place[s]
			if !both {
				continue
			}
			if k < last {
				t.Errorf("nodes 0 and %d heard message %d of %d in another order", i, s[1], s[0])
				return
			}
			last = k
		}
	}
}
