//go:build unix

package natsroom_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/natsroom"
)

var (
	full     = flag.Bool("full", false, "faults of full length, and 100,000 messages")
	faultFor = flag.Duration("faults", 4*time.Second, "how long to inject random faults")
	seed     = flag.Uint64("seed", 0, "of the random faults; 0 is a new one")
)

// A world is a server in a process of its own, two nodes here, and a third in
// another process. The second node is behind a faulty proxy.
// All reach the server through a proxy, which holds their port while there is
// no server: else a server of another test could get it.
type world struct {
	t       testing.TB
	config  crowdConfig
	server  serverConfig
	process *process
	front   *proxy
	proxy   *proxy
	here    []*crowd
	far     *farNode
	heart   *beats
	deaths  int
}

// newWorld starts a world. history says whether its room has one.
func newWorld(t testing.TB, history bool, change func(*world)) *world {
	t.Helper()
	w := &world{t: t, config: crowdConfig{Room: "room", Members: 2, Publishers: 2, Pause: 10 * time.Millisecond, Pad: 20}}
	if history {
		w.config.History = &natsroom.History{}
	}
	w.server = serverConfig{Dir: t.TempDir()}
	if change != nil {
		change(w)
	}
	w.front, w.proxy = newProxy(t, ""), newProxy(t, "")
	w.config.URL = w.front.url()
	w.startServer()
	w.heart = watchBeats(t, w.config.URL)
	for i, at := range []string{w.config.URL, w.proxy.url()} {
		c := w.config
		c.Number = i + 1
		nc, err := nats.Connect(at, nodeOptions(c.Ping)...)
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		node, err := newCrowd(nc, &c)
		require.NoError(t, err)
		t.Cleanup(node.close)
		w.here = append(w.here, node)
	}
	w.startFar()
	w.settle()
	for _, node := range w.here {
		node.start(&w.config, 0)
	}
	w.far.tell(t, "start")
	if !history {
		w.meet()
	}
	return w
}

func (w *world) startServer() {
	w.t.Helper()
	var at string
	w.process, at = spawn(w.t, "server", w.server)
	w.front.lead(strings.TrimPrefix(at, "nats://"))
	w.proxy.lead(strings.TrimPrefix(at, "nats://"))
}

func (w *world) killServer() {
	w.front.lead("")
	w.proxy.lead("")
	w.process.kill()
}

func (w *world) startFar() {
	w.t.Helper()
	c := w.config
	c.Number = 3 + w.deaths
	w.far = startNode(w.t, c)
}

// members returns how many members there are.
func (w *world) members() int { return 3 * w.config.Members }

// settle waits until all nodes here count all members.
func (w *world) settle() {
	w.t.Helper()
	for _, node := range w.here {
		w.heart.await(w.t, 3, node.room, w.members())
	}
}

// meet waits until each node has heard each publisher. Before that, a node without
// a history may not know where a publisher began, and what it lost.
func (w *world) meet() {
	w.t.Helper()
	eventually(w.t, patience, func() bool {
		for _, r := range w.reports() {
			heard := make(map[int32]bool)
			for _, s := range r.Said {
				heard[s[0]] = true
			}
			if len(heard) < 3*w.config.Publishers {
				return false
			}
		}
		return true
	}, "not all publishers are heard")
}

// reports returns the reports of all nodes.
func (w *world) reports() (all []report) {
	w.t.Helper()
	for _, node := range w.here {
		all = append(all, node.report())
	}
	far := w.far.report(w.t)
	far.Late = w.deaths > 0
	return append(all, far)
}

// talk waits until each node here has received 100 more messages.
func (w *world) talk() {
	w.t.Helper()
	for _, node := range w.here {
		heard := node.room.Stats().MessagesReceived
		eventually(w.t, patience, func() bool { return node.room.Stats().MessagesReceived >= heard+100 }, "messages no longer arrive")
	}
}

// end halts all nodes, and has the model check what was heard.
func (w *world) end() (lost, told, twice int64) {
	t := w.t
	t.Helper()
	for _, node := range w.here {
		require.NoError(t, node.halt())
	}
	w.far.halt(t)
	var reports []report
	for until := time.Now().Add(2 * patience); time.Now().Before(until); wait(50 * time.Millisecond) {
		if reports = w.reports(); settled(reports) {
			break
		}
	}
	lost, told, twice = check(t, reports, w.config.History != nil)
	t.Logf("| %s | lost %d | reported %d | twice %d |", t.Name(), lost, told, twice)
	for i, r := range reports {
		t.Logf("node %d: heard %d, lagged %d, published %v", i, len(r.Said), r.Lagged, r.Published)
	}
	return lost, told, twice
}

// wait is part of a fault: its duration.
func wait(d time.Duration) { <-time.After(d) }

// long returns d, or whole with -full.
func long(d, whole time.Duration) time.Duration {
	if *full {
		return whole
	}
	return d
}

// faults are the faults that can happen to a world. Each is over when it
// returns.
var faults = []struct {
	name string
	do   func(w *world)
}{
	{"a node is killed", func(w *world) {
		w.far.kill()
		for _, node := range w.here {
			w.heart.await(w.t, 2, node.room, w.members()-w.config.Members)
		}
		w.deaths++
		w.startFar()
		w.far.tell(w.t, "start")
	}},
	{"the server is killed", func(w *world) {
		w.killServer()
		wait(long(300*time.Millisecond, 2*time.Second))
		w.startServer()
	}},
	{"a node is cut off", func(w *world) {
		w.proxy.sever()
		wait(long(time.Second, 5*time.Second))
		w.proxy.resume()
	}},
	{"a node is cut off without a word", func(w *world) { // for longer than its ping limit
		w.proxy.stall()
		wait(long(4*time.Second, 8*time.Second))
		w.proxy.drop()
		w.proxy.resume()
	}},
	{"a node hears nothing for a while", func(w *world) { // less than its ping limit
		w.proxy.stall()
		wait(time.Second)
		w.proxy.resume()
	}},
	{"a node is stopped", func(w *world) {
		require.NoError(w.t, w.far.cmd.Process.Signal(syscall.SIGSTOP))
		wait(long(time.Second, 5*time.Second))
		require.NoError(w.t, w.far.cmd.Process.Signal(syscall.SIGCONT))
	}},
}

func TestHistoriesAfterAFault(t *testing.T) {
	for _, k := range kinds {
		for _, f := range faults {
			t.Run(k.name+"/"+f.name, func(t *testing.T) {
				t.Parallel() // they wait most of the time
				w := newWorld(t, k.o != nil, nil)
				w.talk()
				f.do(w)
				w.settle()
				w.talk()
				w.end()
			})
		}
	}
}

// TestHistoriesAfterRandomFaults has one fault after another.
func TestHistoriesAfterRandomFaults(t *testing.T) {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(s, 0))
			w := newWorld(t, k.o != nil, nil)
			times := make(map[string]int)
			for until := time.Now().Add(*faultFor); time.Now().Before(until); {
				f := faults[random.IntN(len(faults))]
				times[f.name]++
				f.do(w)
				wait(time.Duration(random.IntN(1000)) * time.Millisecond)
			}
			w.settle()
			w.talk()
			w.end()
			t.Logf("seed %d: %v", s, times)
		})
	}
}

// TestASlowNode stops a node until the server calls it a slow consumer and ends
// its connection.
func TestASlowNode(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, k.o != nil, func(w *world) {
				w.server.WriteDeadline = 2 * time.Second
				w.config.Pad, w.config.ReadBuffer = 8<<10, 256<<10
			})
			w.talk()
			require.NoError(t, w.far.cmd.Process.Signal(syscall.SIGSTOP))
			for _, node := range w.here { // it slows down no other
				said := node.room.Stats().MessagesSent
				eventually(t, patience, func() bool { return node.room.Stats().MessagesSent > said+1000 }, "a publisher waits")
			}
			for _, node := range w.here { // this bounds what there is to catch up on
				require.NoError(t, node.halt())
			}
			require.NoError(t, w.far.cmd.Process.Signal(syscall.SIGCONT))
			w.settle()
			w.talk()
			lost, told, _ := w.end()
			if k.o == nil {
				require.Positive(t, lost, "it was not a slow consumer")
				require.Equal(t, lost, told)
			}
		})
	}
}

func TestAMemberThatStallsCostsTheOthersNothing(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			w := newWorld(t, k.o != nil, func(w *world) { w.config.Pad, w.config.MaxLag = 4<<10, 4<<20 })
			conn, peer := net.Pipe()
			defer peer.Close() // which never reads
			stalled := chanio.NewSession(context.Background(), conn, &chanio.Options{WriteTimeout: -1})
			require.NoError(t, w.here[0].hub.Join(stalled))
			eventually(t, patience, func() bool { return stalled.Err() != nil }, "it does not lag by MaxLag yet")
			require.ErrorIs(t, stalled.Err(), chanio.ErrLagged)
			<-stalled.Done()
			w.settle()
			lost, _, _ := w.end()
			require.Zero(t, lost)
		})
	}
}

// TestTheEmbeddedServerIsKilled has the server in the node that is killed, and
// one that another process starts in its place.
func TestTheEmbeddedServerIsKilled(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			c := crowdConfig{Room: "room", Members: 2, Publishers: 2, Pause: 2 * time.Millisecond, Number: 3, Embedded: "127.0.0.1:0", Dir: t.TempDir()}
			if k.o != nil {
				c.History = k.o.History
			}
			first, front := startNode(t, c), newProxy(t, "")
			front.lead(first.embedded)
			var here []*crowd
			for i := range 2 {
				own := c
				own.Number = i + 1
				nc, err := nats.Connect(front.url(), nodeOptions(0)...)
				require.NoError(t, err)
				t.Cleanup(nc.Close)
				node, err := newCrowd(nc, &own)
				require.NoError(t, err)
				t.Cleanup(node.close)
				here = append(here, node)
			}
			for _, node := range here {
				node.start(&c, 0)
			}
			first.tell(t, "start")
			wait(1500 * time.Millisecond) // more than clocks may differ
			front.lead("")
			first.kill()
			c.Number = 4
			second := startNode(t, c)
			front.lead(second.embedded)
			second.tell(t, "start")
			heart := watchBeats(t, front.url())
			for _, node := range here {
				heart.await(t, 3, node.room, 6)
				require.Eventually(t, func() bool { return node.room.Stats().MessagesReceived > 0 }, patience, time.Millisecond)
			}
			wait(500 * time.Millisecond)
			w := &world{t: t, config: c, here: here, far: second, deaths: 1}
			w.end()
		})
	}
}
