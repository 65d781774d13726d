package websocket

import (
	"context"
	"net/http"
	"sync"
	"testing"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/lxzan/gws"

	"example.com/chanio"
	"example.com/chanio/ws"
)

// A server is one side of the comparison: its handler echoes or, if it does
// not, its connections get the messages that publish is given.
type server struct {
	http.Handler
	publish func(m []byte)
	settle  func() // waits until everything that was published is written
	stop    func() // after settle
}

// servers make a server, which compresses if deflate is set.
var servers = []struct {
	name string
	make func(b *testing.B, echo, deflate bool) server
}{
	{"chanio", func(b *testing.B, echo, deflate bool) server { return chanioServer(b, echo, deflate, echoMessages) }},
	{"chanio batches", func(b *testing.B, echo, deflate bool) server {
		if !echo {
			b.Skip("a multicast has no batches here")
		}
		return chanioServer(b, echo, deflate, echoBatches)
	}},
	{"gorilla", gorillaServer},
	{"coder", coderServer},
	{"gws", gwsServer},
}

func chanioServer(b *testing.B, echo, deflate bool, handle func(*chanio.Session)) server {
	o := &ws.Options{Chanio: &chanio.Options{Lag: chanio.LagBlock}} // no session is ended, which would look like speed
	if deflate {
		o.Compression = &ws.Compression{Threshold: -1} // all of them, as the others do
	}
	h := ws.NewHandler(context.Background(), o)
	l := h.Listener()
	go func() {
		for s := range l.Sessions() {
			if echo {
				go handle(s)
			}
		}
	}()
	return server{
		Handler: h,
		publish: func(m []byte) {
			if err := l.Multicast(m); err != nil {
				b.Fatal(err)
			}
		},
		settle: func() { l.Hub().Flush(context.Background()) },
		stop:   func() { l.Close() },
	}
}

func echoMessages(s *chanio.Session) {
	defer s.Close()
	for m := range s.Recv() {
		select {
		case s.Send() <- m:
		case <-s.Done():
		}
	}
}

func echoBatches(s *chanio.Session) {
	defer s.Close()
	for m := range s.RecvBatch() {
		select {
		case s.SendBatch() <- m:
		case <-s.Done():
		}
	}
}

// queues have a channel and a goroutine for each client, as most programs do
// that multicast with gorilla's or coder's library.
type queues[M any] struct {
	mu      sync.Mutex
	all     []chan M
	writers sync.WaitGroup
	pending sync.WaitGroup
}

func (q *queues[M]) add(write func(M) error) {
	c := make(chan M, 256)
	q.mu.Lock()
	q.all = append(q.all, c)
	q.mu.Unlock()
	q.writers.Go(func() {
		for m := range c {
			write(m)
			q.pending.Done()
		}
	})
}

func (q *queues[M]) publish(m M) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending.Add(len(q.all))
	for _, c := range q.all {
		c <- m
	}
}

func (q *queues[M]) stop() {
	for _, c := range q.all {
		close(c)
	}
	q.writers.Wait()
}

func gorillaServer(b *testing.B, echo, deflate bool) server {
	u := gorilla.Upgrader{EnableCompression: deflate}
	var q queues[*gorilla.PreparedMessage]
	return server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := u.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer c.Close()
			if !echo {
				q.add(c.WritePreparedMessage)
			}
			for {
				kind, m, err := c.ReadMessage()
				if err != nil || echo && c.WriteMessage(kind, m) != nil {
					return
				}
			}
		}),
		publish: func(m []byte) {
			p, err := gorilla.NewPreparedMessage(gorilla.BinaryMessage, m)
			if err != nil {
				b.Fatal(err)
			}
			q.publish(p)
		},
		settle: q.pending.Wait,
		stop:   q.stop,
	}
}

func coderServer(_ *testing.B, echo, deflate bool) server {
	o := &coder.AcceptOptions{CompressionMode: coder.CompressionDisabled}
	if deflate {
		o.CompressionMode, o.CompressionThreshold = coder.CompressionNoContextTakeover, 1
	}
	var q queues[[]byte]
	return server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := coder.Accept(w, r, o)
			if err != nil {
				return
			}
			defer c.CloseNow()
			ctx := context.Background()
			if !echo {
				q.add(func(m []byte) error { return c.Write(ctx, coder.MessageBinary, m) })
			}
			for {
				kind, m, err := c.Read(ctx)
				if err != nil || echo && c.Write(ctx, kind, m) != nil {
					return
				}
			}
		}),
		publish: q.publish,
		settle:  q.pending.Wait,
		stop:    q.stop,
	}
}

// gwsEvents are the callbacks for gws.
type gwsEvents struct {
	gws.BuiltinEventHandler
	echo  bool
	mu    sync.Mutex
	conns []*gws.Conn
}

func (e *gwsEvents) OnOpen(c *gws.Conn) {
	e.mu.Lock()
	e.conns = append(e.conns, c)
	e.mu.Unlock()
}

func (e *gwsEvents) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	if e.echo {
		c.WriteMessage(m.Opcode, m.Bytes())
	}
}

// settle waits for the queues of all connections.
func (e *gwsEvents) settle() {
	var pending sync.WaitGroup
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.conns {
		pending.Add(1)
		c.Async(pending.Done)
	}
	pending.Wait()
}

func gwsServer(_ *testing.B, echo, deflate bool) server {
	e := &gwsEvents{echo: echo}
	u := gws.NewUpgrader(e, &gws.ServerOption{PermessageDeflate: gws.PermessageDeflate{Enabled: deflate, Threshold: 1}})
	published := 0
	return server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, err := u.Upgrade(w, r); err == nil {
				go c.ReadLoop()
			}
		}),
		publish: func(m []byte) {
			b := gws.NewBroadcaster(gws.OpcodeBinary, m)
			e.mu.Lock()
			for _, c := range e.conns {
				b.Broadcast(c)
			}
			e.mu.Unlock()
			b.Close()
			if published++; published%256 == 0 {
				e.settle() // its queues have no bound
			}
		},
		settle: e.settle,
		stop:   func() {},
	}
}
