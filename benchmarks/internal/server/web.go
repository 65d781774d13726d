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

	"example.com/chanio/benchmarks/internal/bench"
)

// serveWeb serves WebSockets with h, which returns when a connection is over or
// starts goroutines that end with it.
func (s *Server) serveWeb(h http.Handler) error {
	if s.config.Net != bench.WS {
		return errors.New("WebSocket libraries serve ws only, not " + s.config.Net)
	}
	ln, err := s.listen()
	if err != nil {
		return err
	}
	web := &http.Server{Handler: h, ConnState: func(conn net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.add(conn)
		}
	}}
	s.onClose(web.Close)
	s.wg.Go(func() { _ = web.Serve(ln) }) // ends with Close
	return nil
}

// A peer is a connection of a WebSocket library.
type peer struct {
	read  func() (kind int, message []byte, err error)
	write func(kind int, message []byte) error
	// writePrepared writes a message that was framed and compressed once for all.
	writePrepared func(*gorilla.PreparedMessage) error
}

// upgrade is how a library takes a connection over.
type upgrade func(w http.ResponseWriter, r *http.Request) (peer, error)

func gorillaUpgrade(c bench.Config) upgrade {
	u := &gorilla.Upgrader{EnableCompression: c.Deflate}
	return func(w http.ResponseWriter, r *http.Request) (peer, error) {
		conn, err := u.Upgrade(w, r, nil)
		if err != nil {
			return peer{}, err
		}
		return peer{conn.ReadMessage, conn.WriteMessage, conn.WritePreparedMessage}, nil
	}
}

func coderUpgrade(c bench.Config) upgrade {
	o := &coder.AcceptOptions{CompressionMode: coder.CompressionDisabled}
	if c.Deflate {
		o.CompressionMode, o.CompressionThreshold = coder.CompressionNoContextTakeover, 1
	}
	ctx := context.Background()
	return func(w http.ResponseWriter, r *http.Request) (peer, error) {
		conn, err := coder.Accept(w, r, o)
		read := func() (int, []byte, error) {
			kind, m, err := conn.Read(ctx)
			return int(kind), m, err
		}
		write := func(kind int, m []byte) error { return conn.Write(ctx, coder.MessageType(kind), m) }
		return peer{read: read, write: write}, err
	}
}

// echoPeers returns the echo server of a library with one reader per connection.
func echoPeers(library func(bench.Config) upgrade) func(*Server) error {
	return func(s *Server) error {
		accept := library(s.config)
		return s.serveWeb(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, err := accept(w, r)
			for err == nil {
				var kind int
				var m []byte
				if kind, m, err = p.read(); err == nil {
					err = p.write(kind, m)
				}
			}
		}))
	}
}

// multicastPeers multicasts by a channel and a goroutine for each connection, as
// most programs do, and another that reads.
func multicastPeers[M any](s *Server, accept upgrade, prepare func([]byte) (M, error), write func(peer, M) error) error {
	h := newHub(s, prepare)
	return s.serveWeb(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := accept(w, r)
		if err != nil {
			return
		}
		go func() { // ends with the connection
			for err == nil {
				_, _, err = p.read()
			}
		}()
		h.serve(func(m M, _ <-chan M) error { return write(p, m) })
	}))
}

func gorillaMulticast(s *Server) error {
	prepare := func(m []byte) (*gorilla.PreparedMessage, error) {
		return gorilla.NewPreparedMessage(gorilla.BinaryMessage, bytes.Clone(m))
	}
	write := func(p peer, m *gorilla.PreparedMessage) error { return p.writePrepared(m) }
	return multicastPeers(s, gorillaUpgrade(s.config), prepare, write)
}

func coderMulticast(s *Server) error {
	write := func(p peer, m []byte) error { return p.write(int(coder.MessageBinary), m) }
	return multicastPeers(s, coderUpgrade(s.config), clone, write)
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

func (s *Server) serveEvents(e gwsEvents) error {
	u := gws.NewUpgrader(e, &gws.ServerOption{PermessageDeflate: gws.PermessageDeflate{Enabled: s.config.Deflate, Threshold: 1}})
	return s.serveWeb(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := u.Upgrade(w, r); err == nil {
			go conn.ReadLoop() // ends with the connection
		}
	}))
}

func gwsEcho(s *Server) error {
	return s.serveEvents(gwsEvents{
		open:    func(*gws.Conn) {},
		message: func(c *gws.Conn, m *gws.Message) { _ = c.WriteMessage(m.Opcode, m.Bytes()) },
	})
}

// gwsMulticast uses the library's Broadcaster. The queues of its connections
// have no bound, so the publisher waits for them now and then.
func gwsMulticast(s *Server) error {
	const unbounded = 256 // messages
	var all members[*gws.Conn]
	n := 0
	p := s.publish(func(message []byte) error {
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
	})
	return s.serveEvents(gwsEvents{
		open: func(c *gws.Conn) {
			all.add(c)
			p.enter()
		},
		message: func(*gws.Conn, *gws.Message) {},
	})
}
