package natsroom

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"example.com/chanio"
)

// A node is what the rooms of one connection under one prefix share: one channel
// to which all their subscriptions deliver, and two goroutines. The dispatcher
// hands out what arrives and never blocks. The keeper does what may wait for the
// connection: it subscribes for rooms that have members, tells the other nodes
// what changed here, and resends what was not acknowledged.
type node struct {
	nc     *nats.Conn
	prefix string
	number number

	in      chan *nats.Msg   // from all subscriptions; nats.go drops and counts what does not fit
	changed chan struct{}    // from hubs and rooms: wakes the keeper
	status  chan nats.Status // from nats.go
	ready   chan struct{}    // closed when the node has heard itself: the server and permissions are good
	ctx     context.Context  // ends with the node; closing is its Done channel
	cancel  context.CancelFunc
	closing <-chan struct{}
	group   sync.WaitGroup // dispatcher and keeper

	presence *nats.Subscription
	acks     *nats.Subscription
	ackInbox string // a subject prefix; a room's index and more follow

	heardSelf sync.Once
	refs      int // guarded by the registry's mu
	stream    stream

	mu      sync.RWMutex // never held across a call of nats.go
	rooms   map[string]*Room
	lookup  map[string]*Room // by subject
	indexed map[string]*Room // by index
	last    int              // the last index
	peers   map[number]*peer
	dirty   map[*Room]struct{}  // rooms whose entries must be sent
	asks    map[string]struct{} // names of rooms to ask the others about
	reset   bool                // send everything
	askAll  bool                // ask for everything

	// The keeper's.
	seq     uint64    // of the last presence message
	told    time.Time // when it was sent
	checked uint64    // how often the connection had been made again when the stream last answered
}

// inQueue is the capacity of the channel that subscriptions share. The
// dispatcher never blocks, so little of it is ever used.
const inQueue = 8192

// A registry holds the node of each connection.
type registry struct {
	mu sync.Mutex
	m  map[nodeKey]*node
}

type nodeKey struct {
	nc     *nats.Conn
	prefix string
}

// nodes has the node of each connection that has rooms. It is this package's
// only global state: it lets Join share what a connection's rooms can share,
// without the user's help.
var nodes registry

// acquire returns the node of nc. The caller must release it.
func (g *registry) acquire(nc *nats.Conn, prefix string) *node {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := nodeKey{nc, prefix}
	n := g.m[key]
	if n == nil {
		n = newNode(nc, prefix)
		if g.m == nil {
			g.m = make(map[nodeKey]*node)
		}
		g.m[key] = n
		n.group.Go(n.dispatch)
		n.group.Go(n.keep)
	}
	n.refs++
	return n
}

// release drops a reference to n. With the last one it ends n and waits for
// that.
func (g *registry) release(n *node) {
	g.mu.Lock()
	n.refs--
	last := n.refs == 0
	if last {
		delete(g.m, nodeKey{n.nc, n.prefix})
	}
	g.mu.Unlock()
	if last {
		n.cancel()
		n.group.Wait()
	}
}

func newNode(nc *nats.Conn, prefix string) *node {
	n := &node{
		nc:      nc,
		prefix:  prefix,
		number:  newNumber(time.Now()),
		in:      make(chan *nats.Msg, inQueue),
		changed: make(chan struct{}, 1),
		ready:   make(chan struct{}),
		rooms:   make(map[string]*Room),
		lookup:  make(map[string]*Room),
		indexed: make(map[string]*Room),
		peers:   make(map[number]*peer),
		dirty:   make(map[*Room]struct{}),
		asks:    make(map[string]struct{}),
		reset:   true,
		askAll:  true,
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.closing = n.ctx.Done()
	n.stream.node, n.stream.turn = n, make(chan struct{}, 1)
	n.ackInbox = nc.NewRespInbox() + "."
	return n
}

// nodesSubject is where nodes announce what they have.
func (n *node) nodesSubject() string { return n.prefix + ".nodes" }

// enter adds r to n's rooms once the connection is usable.
func (n *node) enter(ctx context.Context, r *Room) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.set.JoinTimeout, &timeoutError{"JoinTimeout", r.set.JoinTimeout})
	defer cancel()
	if err := n.awaitReady(ctx); err != nil {
		return err
	}
	if r.set.History != nil {
		if err := n.stream.ensure(ctx, r.set.History); err != nil {
			return err
		}
	}
	n.mu.Lock()
	if n.rooms[r.name] != nil {
		n.mu.Unlock()
		return errors.New("this connection has joined it already")
	}
	n.last++
	r.index = strconv.Itoa(n.last)
	n.rooms[r.name] = r
	n.lookup[r.subject] = r
	n.indexed[r.index] = r
	n.asks[r.name] = struct{}{}
	n.dirty[r] = struct{}{}
	n.mu.Unlock()
	r.mu.Lock()
	r.unwatch = r.hub.Watch(n.changed)
	r.mu.Unlock()
	n.look()
	return nil
}

// awaitReady waits until the node has heard itself.
func (n *node) awaitReady(ctx context.Context) error {
	refused := n.probe(ctx)
	select {
	case <-n.ready:
		if n.nc.IsClosed() {
			return fmt.Errorf("%w: %w", chanio.ErrClosed, nats.ErrConnectionClosed)
		}
		return nil
	case <-ctx.Done():
	}
	err := context.Cause(ctx)
	last := n.nc.LastError()
	if last == nil {
		last = refused
	}
	switch {
	case n.nc.IsClosed():
		return fmt.Errorf("%w: %w", chanio.ErrClosed, nats.ErrConnectionClosed)
	case last != nil:
		return fmt.Errorf("no good connection to NATS (%v): %w: the last error is: %w", n.nc.Status(), err, last)
	case !n.nc.IsConnected():
		return fmt.Errorf("no connection to NATS (%v at %q): %w", n.nc.Status(), n.nc.Opts.Servers, err)
	default:
		return fmt.Errorf("nothing comes back from %q: %w", n.nodesSubject(), err)
	}
}

// leave removes r from n.
func (n *node) leave(r *Room) {
	r.mu.Lock()
	unwatch := r.unwatch
	r.mu.Unlock()
	if unwatch != nil {
		unwatch()
	}
	n.mu.Lock()
	if n.rooms[r.name] == r {
		delete(n.rooms, r.name)
		delete(n.lookup, r.subject)
		delete(n.indexed, r.index)
		n.dirty[r] = struct{}{}
	}
	n.mu.Unlock()
	n.unplace(r)
	n.look()
}

// look wakes the keeper to look at the rooms.
func (n *node) look() {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// roomsNow returns a snapshot of the rooms.
func (n *node) roomsNow() []*Room {
	n.mu.RLock()
	defer n.mu.RUnlock()
	rooms := make([]*Room, 0, len(n.rooms))
	for _, r := range n.rooms {
		rooms = append(rooms, r)
	}
	return rooms
}

// dispatch is the dispatcher: it hands out what the subscriptions deliver. The
// node's group owns it; it ends with the node.
func (n *node) dispatch() {
	presence := n.nodesSubject()
	for {
		select {
		case m := <-n.in:
			switch rest, isAck := strings.CutPrefix(m.Subject, n.ackInbox); {
			case m.Subject == presence:
				n.hear(m.Data)
			case isAck:
				n.acknowledged(rest, m)
			default:
				n.mu.RLock()
				r := n.lookup[m.Subject]
				n.mu.RUnlock()
				if r != nil {
					r.arrived(m)
				}
			}
		case <-n.closing:
			return
		}
	}
}

// acknowledged hands an answer of JetStream to the room that published.
func (n *node) acknowledged(rest string, m *nats.Msg) {
	index, rest, _ := strings.Cut(rest, ".")
	n.mu.RLock()
	r := n.indexed[index]
	n.mu.RUnlock()
	if r != nil && r.outbox != nil {
		r.outbox.answered(rest, m)
	}
}

// A timeoutError says which option's timeout expired.
type timeoutError struct {
	option string
	after  time.Duration
}

func (e *timeoutError) Error() string { return fmt.Sprintf("%s of %v has expired", e.option, e.after) }

// Timeout makes it a timeout as in net.Error.
func (*timeoutError) Timeout() bool { return true }

// Is makes it match os.ErrDeadlineExceeded and context.DeadlineExceeded.
func (*timeoutError) Is(target error) bool { return isDeadline(target) }
