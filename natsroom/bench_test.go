package natsroom_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/natsroom"
)

// benchServer starts a server in a process of its own.
func benchServer(b *testing.B) string {
	b.Helper()
	_, url := spawn(b, "server", serverConfig{Dir: b.TempDir()})
	return url
}

const (
	benchMessage = 32
	benchWindow  = 4096    // NATS messages in flight: no queue of the room overflows
	natsWindow   = 1 << 15 // nats.go alone is faster with more
)

// A pace holds a publisher to a window. seen is the amount that has arrived.
type pace struct {
	seen atomic.Int64
	more chan struct{}
}

func newPace() *pace { return &pace{more: make(chan struct{}, 1)} }

func (p *pace) add(n int) {
	p.seen.Add(int64(n))
	select {
	case p.more <- struct{}{}:
	default:
	}
}

func (p *pace) await(n int64) {
	for p.seen.Load() < n {
		<-p.more
	}
}

// BenchmarkFanOut measures messages of 32 bytes a second: through nats.go
// alone, from one connection to one subscriber, message by message and as
// payloads of a batch; and from one node's room to 100 tcp sessions on another.
func BenchmarkFanOut(b *testing.B) {
	for _, batch := range []int{1, 512} {
		b.Run(fmt.Sprintf("nats.go/batch=%d", batch), func(b *testing.B) { benchNATS(b, batch) })
	}
	for _, members := range []int{1, 100} {
		for _, batch := range []int{1, 512} {
			b.Run(fmt.Sprintf("room/members=%d/batch=%d", members, batch), func(b *testing.B) { benchRoom(b, batch, members) })
		}
	}
}

func benchNATS(b *testing.B, batch int) {
	url := benchServer(b)
	from, to := connect(b, url), connect(b, url)
	p := newPace()
	sub, err := to.Subscribe("bench", func(m *nats.Msg) { p.add(len(m.Data) / benchMessage) })
	require.NoError(b, err)
	require.NoError(b, sub.SetPendingLimits(-1, -1))
	require.NoError(b, to.Flush())
	payload := make([]byte, benchMessage*batch)
	b.ResetTimer()
	sent := int64(0)
	for sent < int64(b.N) {
		p.await(sent - int64(min(natsWindow*batch, 1<<20)))
		if err := from.Publish("bench", payload); err != nil {
			b.Fatal(err)
		}
		sent += int64(batch)
	}
	p.await(sent)
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "msg/s")
}

func benchRoom(b *testing.B, batch, members int) {
	url := benchServer(b)
	from := join(b, connect(b, url), "bench", nil, nil)
	to := join(b, connect(b, url), "bench", nil, &chanio.Options{Lag: chanio.LagBlock})
	paces := tcpMembers(b, to, members)
	message := make([]byte, benchMessage)
	b.ResetTimer()
	sent := int64(0)
	for sent < int64(b.N) {
		paces[0].await(sent - int64(min(benchWindow*batch, 1<<17)))
		var err error
		if batch == 1 {
			err = from.room.Publish(message)
		} else {
			batched := chanio.NewBatch()
			for range batch {
				batched.Append(message)
			}
			err = from.room.PublishBatch(batched)
			batched.Release()
		}
		if err != nil {
			b.Fatal(err)
		}
		sent += int64(batch)
	}
	for _, p := range paces {
		p.await(sent)
	}
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(sent)*float64(members)/b.Elapsed().Seconds(), "deliveries/s")
	require.Zero(b, to.room.Stats().MessagesDropped)
}

// tcpMembers makes n tcp sessions members of p. Each pace counts what one
// member's peer has read.
func tcpMembers(b *testing.B, p place, n int) (paces []*pace) {
	b.Helper()
	l, err := chanio.Listen(context.Background(), "tcp", "127.0.0.1:0", &chanio.Options{ManualJoin: true})
	require.NoError(b, err)
	var readers sync.WaitGroup
	b.Cleanup(func() { l.Close(); readers.Wait() })
	for range n {
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(b, err)
		require.NoError(b, p.hub.Join(<-l.Sessions()))
		pace := newPace()
		paces = append(paces, pace)
		readers.Go(func() {
			defer conn.Close()
			buf := make([]byte, 64<<10)
			rest := 0
			for {
				n, err := conn.Read(buf)
				rest += n
				pace.add(rest / benchMessage)
				rest %= benchMessage
				if err != nil {
					return
				}
			}
		})
	}
	p.flush(b)
	return paces
}

// BenchmarkLatency measures the time from Publish on one node until the last of
// 100 members on another has read the message, one message at a time.
func BenchmarkLatency(b *testing.B) {
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			url := benchServer(b)
			from := join(b, connect(b, url), "bench", k.o, nil)
			to := join(b, connect(b, url), "bench", k.o, nil)
			paces := tcpMembers(b, to, 100)
			message := make([]byte, benchMessage)
			var took []time.Duration
			sent := int64(0)
			for b.Loop() {
				before := time.Now()
				if err := from.room.Publish(message); err != nil {
					b.Fatal(err)
				}
				sent++
				for _, p := range paces {
					p.await(sent)
				}
				took = append(took, time.Since(before))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
		})
	}
}

// BenchmarkRooms has 10,000 rooms with 3 members on each of 2 nodes. It
// measures how long it takes until all count 6, bytes a room on a node, and
// subscriptions.
func BenchmarkRooms(b *testing.B) {
	const rooms = 10_000
	for b.Loop() {
		url := benchServer(b)
		before := heap()
		start := time.Now()
		var places []place
		var nodes []*nats.Conn
		for range 2 {
			nc := connect(b, url)
			nodes = append(nodes, nc)
			var members []*chanio.Session
			for range 3 {
				members = append(members, listen(b, nil).s)
			}
			for i := range rooms {
				hub := chanio.NewHub(context.Background(), nil)
				room, err := natsroom.Join(context.Background(), nc, fmt.Sprint("room", i), hub, nil)
				require.NoError(b, err)
				for _, s := range members {
					require.NoError(b, hub.Join(s))
				}
				places = append(places, place{hub, room})
			}
		}
		for _, p := range places {
			for p.room.Members() != 6 {
				runtime.Gosched()
			}
		}
		b.ReportMetric(time.Since(start).Seconds(), "s-to-join")
		b.ReportMetric(float64(heap()-before)/float64(len(places)), "bytes/room")
		b.ReportMetric(float64(nodes[0].NumSubscriptions()), "subscriptions")
		for _, p := range places {
			p.room.Close()
			p.hub.Close()
		}
		for _, nc := range nodes {
			nc.Close()
		}
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
