package server

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/lxzan/gws"

	"example.com/chanio/benchmarks/internal/endpoint"
)

// A webServer is an http.Server and the connections that its handlers have
// taken over.
type webServer struct {
	ln     net.Listener
	server http.Server
	conns  conns
	wg     sync.WaitGroup // the server and, by count, its handlers
}

// serveWeb serves WebSockets with h, which returns when a connection is over or
// starts goroutines that end with it.
func serveWeb(ctx context.Context, c Config, h http.Handler) (*webServer, error) {
	if c.Endpoint.Net != endpoint.WS {
		return nil, errors.New("WebSocket libraries serve ws only, not " + c.Endpoint.Net)
	}
	ln, err := c.Endpoint.Listen(ctx)
	if err != nil {
		return nil, err
	}
	s := &webServer{ln: ln}
	s.server.Handler = h
	s.server.ConnState = func(conn net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.add(conn)
		}
	}
	s.wg.Go(func() { _ = s.server.Serve(ln) }) // ends with Close
	return s, nil
}

func (s *webServer) Addr() string { return s.ln.Addr().String() }

func (s *webServer) Close() error {
	err := s.server.Close()
	s.conns.close()
	s.wg.Wait()
	return err
}

// A peer is a connection of another WebSocket library.
type peer struct {
	read  func() (kind int, message []byte, err error)
	write func(kind int, message []byte) error
}

// upgrade is how a library takes a connection over.
type upgrade[C any] func(w http.ResponseWriter, r *http.Request) (C, error)

// echoPeers echoes by a library with one reader per connection.
func echoPeers[C any](ctx context.Context, c Config, accept upgrade[C], of func(C) peer) (Server, error) {
	return serveWeb(ctx, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := accept(w, r)
		if err != nil {
			return
		}
		p := of(conn)
		for {
			kind, m, err := p.read()
			if err != nil || p.write(kind, m) != nil {
				return
			}
		}
	}))
}

// multicastPeers multicasts by a channel and a goroutine for each connection, as
// most programs do, and another that reads.
func multicastPeers[C, M any](ctx context.Context, c Config, accept upgrade[C], of func(C) peer,
	prepare func([]byte) (M, error), write func(C, M) error) (Server, error) {
	return newHub(c, prepare, func(h *hub[M]) (Server, error) {
		return serveWeb(ctx, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, err := accept(w, r)
			if err != nil {
				return
			}
			go func() { // ends with the connection
				for p := of(conn); err == nil; {
					_, _, err = p.read()
				}
			}()
			h.serve(func(m M, _ <-chan M) error { return write(conn, m) })
		}))
	})
}

func gorillaUpgrade(c Config) upgrade[*gorilla.Conn] {
	u := &gorilla.Upgrader{EnableCompression: c.Endpoint.Deflate}
	return func(w http.ResponseWriter, r *http.Request) (*gorilla.Conn, error) { return u.Upgrade(w, r, nil) }
}

func gorillaPeer(c *gorilla.Conn) peer { return peer{c.ReadMessage, c.WriteMessage} }

func gorillaEcho(ctx context.Context, c Config) (Server, error) {
	return echoPeers(ctx, c, gorillaUpgrade(c), gorillaPeer)
}

// gorillaMulticast frames, and compresses, a message once for all.
func gorillaMulticast(ctx context.Context, c Config) (Server, error) {
	prepare := func(m []byte) (*gorilla.PreparedMessage, error) {
		return gorilla.NewPreparedMessage(gorilla.BinaryMessage, bytes.Clone(m))
	}
	return multicastPeers(ctx, c, gorillaUpgrade(c), gorillaPeer, prepare, (*gorilla.Conn).WritePreparedMessage)
}

func coderUpgrade(c Config) upgrade[*coder.Conn] {
	o := &coder.AcceptOptions{CompressionMode: coder.CompressionDisabled}
	if c.Endpoint.Deflate {
		o.CompressionMode, o.CompressionThreshold = coder.CompressionNoContextTakeover, 1
	}
	return func(w http.ResponseWriter, r *http.Request) (*coder.Conn, error) { return coder.Accept(w, r, o) }
}

func coderPeer(c *coder.Conn) peer {
	ctx := context.Background()
	return peer{
		read: func() (int, []byte, error) {
			kind, m, err := c.Read(ctx)
			return int(kind), m, err
		},
		write: func(kind int, m []byte) error { return c.Write(ctx, coder.MessageType(kind), m) },
	}
}

func coderEcho(ctx context.Context, c Config) (Server, error) {
	return echoPeers(ctx, c, coderUpgrade(c), coderPeer)
}

func coderMulticast(ctx context.Context, c Config) (Server, error) {
	write := func(c *coder.Conn, m []byte) error { return c.Write(context.Background(), coder.MessageBinary, m) }
	return multicastPeers(ctx, c, coderUpgrade(c), coderPeer, clone, write)
}

// gwsEvents are the callbacks for gws.
type gwsEvents struct {
	gws.BuiltinEventHandler
	open    func(*gws.Conn)
	message func(*gws.Conn, *gws.Message)
}

func (e gwsEvents) OnOpen(c *gws.Conn) { e.open(c) }

func (e gwsEvents) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	e.message(c, m)
}

func (e gwsEvents) serve(ctx context.Context, c Config) (Server, error) {
	u := gws.NewUpgrader(e, &gws.ServerOption{PermessageDeflate: gws.PermessageDeflate{Enabled: c.Endpoint.Deflate, Threshold: 1}})
	return serveWeb(ctx, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := u.Upgrade(w, r); err == nil {
			go conn.ReadLoop() // ends with the connection
		}
	}))
}

func gwsEcho(ctx context.Context, c Config) (Server, error) {
	return gwsEvents{
		open:    func(*gws.Conn) {},
		message: func(c *gws.Conn, m *gws.Message) { _ = c.WriteMessage(m.Opcode, m.Bytes()) },
	}.serve(ctx, c)
}

// gwsMulticast uses the library's Broadcaster. The queues of its connections
// have no bound, so the publisher waits for them now and then.
func gwsMulticast(ctx context.Context, c Config) (Server, error) {
	const unbounded = 256 // messages
	var all members[*gws.Conn]
	n := 0
	multicast := func(message []byte) error {
		b := gws.NewBroadcaster(gws.OpcodeBinary, bytes.Clone(message))
		defer b.Close()
		for _, conn := range all.all() {
			if b.Broadcast(conn) != nil {
				all.remove(conn)
			}
		}
		if n++; n%unbounded == 0 {
			var pending sync.WaitGroup
			for _, conn := range all.all() {
				pending.Add(1)
				conn.Async(pending.Done)
			}
			pending.Wait()
		}
		return nil
	}
	return newPublished(c, multicast, func(p *publisher) (Server, error) {
		return gwsEvents{
			open: func(c *gws.Conn) {
				all.add(c)
				p.enter()
			},
			message: func(*gws.Conn, *gws.Message) {},
		}.serve(ctx, c)
	})
}
