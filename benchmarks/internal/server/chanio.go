package server

import (
	"context"
	"errors"
	"io"
	"sync"

	"example.com/chanio"
	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/ws"
)

// chanioServer is a listener and the goroutines that use it, which end with it.
type chanioServer struct {
	*chanio.Listener
	web io.Closer // of WebSockets; else nil
	at  string
	wg  sync.WaitGroup
}

// options returns the options of chanio's sessions and packet endpoints.
func (c Config) options() *chanio.Options {
	o := &chanio.Options{
		TLS:         c.Endpoint.ServerTLS,
		ReadBuffer:  c.Endpoint.KernelBuffer,
		WriteBuffer: c.Endpoint.KernelBuffer,
		Framing:     endpoint.FramingOf(c.Framing),
		Lag:         chanio.LagBlock,
	}
	if c.Drop {
		o.Lag = chanio.LagDrop
	}
	return o
}

// chanioListen starts a listener that lives until it is closed, even after ctx
// ends.
func chanioListen(ctx context.Context, c Config) (*chanioServer, error) {
	ctx = context.WithoutCancel(ctx)
	if c.Endpoint.Net != endpoint.WS {
		l, err := chanio.Listen(ctx, c.Endpoint.Network(), c.Endpoint.Address, c.options())
		if err != nil {
			return nil, err
		}
		return &chanioServer{Listener: l, at: l.Addr().String()}, nil
	}
	o := &ws.Options{Chanio: c.options()}
	if c.Endpoint.Deflate {
		o.Compression = &ws.Compression{Threshold: -1} // all messages, as the others do
	}
	h := ws.NewHandler(ctx, o)
	web, err := serveWeb(ctx, c, h)
	if err != nil {
		h.Listener().Close()
		return nil, err
	}
	return &chanioServer{Listener: h.Listener(), web: web, at: web.Addr()}, nil
}

// each runs handle for each session, which it then closes. It ends when the
// listener does.
func (s *chanioServer) each(handle func(*chanio.Session)) {
	s.wg.Go(func() {
		for session := range s.Sessions() {
			s.wg.Go(func() {
				defer session.Close()
				handle(session)
			})
		}
	})
}

func (s *chanioServer) Addr() string { return s.at }

func (s *chanioServer) Close() error {
	err := s.Listener.Close()
	if s.web != nil {
		err = errors.Join(err, s.web.Close())
	}
	s.wg.Wait()
	return err
}

// chanioEcho is the server of the library's first example, for every transport:
// a handler goroutine per session.
func chanioEcho(ctx context.Context, c Config) (Server, error) {
	s, err := chanioListen(ctx, c)
	if err != nil {
		return nil, err
	}
	if c.Batch {
		s.each(echoBatches)
	} else {
		s.each(echoMessages)
	}
	return s, nil
}

func echoMessages(s *chanio.Session) {
	for m := range s.Recv() {
		if s.Put(m) != nil {
			return
		}
	}
}

// echoBatches sends batches back as they arrived.
func echoBatches(s *chanio.Session) {
	for b := range s.RecvBatch() {
		if s.PutBatch(b) != nil {
			return
		}
	}
}

// chanioMulticast publishes to a listener's hub, which sessions join
// automatically, or to an IP multicast group.
func chanioMulticast(ctx context.Context, c Config) (Server, error) {
	if c.Endpoint.Datagrams() {
		return chanioGroup(ctx, c)
	}
	s, err := chanioListen(ctx, c)
	if err != nil {
		return nil, err
	}
	return newPublished(c, s.Multicast, func(p *publisher) (Server, error) {
		s.each(func(session *chanio.Session) {
			p.enter()
			for range session.Recv() { // until the member leaves
			}
		})
		return s, nil
	})
}

// packetEcho answers from a packet endpoint, without sessions.
func packetEcho(ctx context.Context, c Config) (Server, error) {
	conn, err := chanio.ListenPacket(context.WithoutCancel(ctx), c.Endpoint.Network(), c.Endpoint.Address, c.options())
	if err != nil {
		return nil, err
	}
	s := &packetEndpoint{PacketConn: conn}
	s.wg.Go(func() {
		if c.Batch {
			for b := range conn.RecvBatch() {
				if conn.PutBatch(b) != nil {
					return
				}
			}
		}
		for p := range conn.Recv() {
			if conn.Put(p) != nil {
				return
			}
		}
	})
	return s, nil
}

// packetEndpoint is a packet endpoint and its goroutine, which ends with it.
type packetEndpoint struct {
	*chanio.PacketConn
	wg sync.WaitGroup
}

func (s *packetEndpoint) Addr() string { return s.LocalAddr().String() }

func (s *packetEndpoint) Close() error {
	s.Abort(nil)
	s.wg.Wait()
	return nil
}
