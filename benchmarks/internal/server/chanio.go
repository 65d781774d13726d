package server

import (
	"context"
	"slices"

	"example.com/chanio"
	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/ws"
)

// listenChanio starts a listener.
func (s *Server) listenChanio(o *chanio.Options) (*chanio.Listener, error) {
	var err error
	if o.TLS, err = s.config.ServerTLS(); err != nil {
		return nil, err
	}
	l, err := chanio.Listen(context.Background(), s.config.Network(), s.config.Address, o)
	if err != nil {
		return nil, err
	}
	s.Addr = l.Addr().String()
	s.onClose(l.Close)
	return l, nil
}

// listenSessions starts a listener or, for WebSockets, the handler of one.
func (s *Server) listenSessions() (*chanio.Listener, error) {
	if s.config.Net != bench.WS {
		return s.listenChanio(s.config.Options())
	}
	o := &ws.Options{Chanio: s.config.Options()}
	if s.config.Deflate {
		o.Compression = &ws.Compression{Threshold: -1} // all messages, as the others do
	}
	h := ws.NewHandler(context.Background(), o)
	s.onClose(h.Listener().Close)
	return h.Listener(), s.serveWeb(h)
}

// each runs handle for each session, which it then closes. It ends when the
// listener does.
func (s *Server) each(l *chanio.Listener, handle func(*chanio.Session)) {
	s.wg.Go(func() {
		for session := range l.Sessions() {
			s.wg.Go(func() {
				defer session.Close()
				handle(session)
			})
		}
	})
}

// chanioEcho is the server of the library's first example, for every transport:
// a handler goroutine per session.
func chanioEcho(s *Server) error {
	l, err := s.listenSessions()
	if err != nil {
		return err
	}
	s.each(l, func(session *chanio.Session) {
		if s.config.Batch {
			echo(session.RecvBatch(), session.PutBatch)
		} else {
			echo(session.Recv(), session.Put)
		}
	})
	return nil
}

// echo sends messages or batches back as they arrived.
func echo[M any](recv <-chan M, put func(M) error) {
	for m := range recv {
		if put(m) != nil {
			return
		}
	}
}

// chanioMulticast publishes to a listener's hub, which sessions join
// automatically, or to an IP multicast group.
func chanioMulticast(s *Server) error {
	if s.config.Datagrams() {
		return chanioGroup(s)
	}
	l, err := s.listenSessions()
	if err != nil {
		return err
	}
	p := s.publish(l.Multicast)
	s.each(l, func(session *chanio.Session) {
		p.enter()
		for range session.Recv() { // until the member leaves
		}
	})
	return nil
}

// listenPacket starts a packet endpoint. What it has not sent when the server
// closes is lost.
func (s *Server) listenPacket(address string, o *chanio.Options) (*chanio.PacketConn, error) {
	conn, err := chanio.ListenPacket(context.Background(), bench.UDP, address, o)
	if err != nil {
		return nil, err
	}
	s.Addr = conn.LocalAddr().String()
	s.onClose(func() error {
		conn.Abort(nil)
		<-conn.Done()
		return nil
	})
	return conn, nil
}

// packetEcho answers from a packet endpoint, without sessions.
func packetEcho(s *Server) error {
	conn, err := s.listenPacket(s.config.Address, s.config.Options())
	if err != nil {
		return err
	}
	s.wg.Go(func() { // ends with conn
		if s.config.Batch {
			echo(conn.RecvBatch(), conn.PutBatch)
		} else {
			echo(conn.Recv(), conn.Put)
		}
	})
	return nil
}

// chanioGroup sends through a packet endpoint, a copy of each message: what is
// sent belongs to the library.
func chanioGroup(s *Server) error {
	group, ifi, err := s.config.Group()
	if err != nil {
		return err
	}
	o := s.config.Options()
	o.Multicast.Interface = ifi
	conn, err := s.listenPacket(":0", o)
	if err != nil {
		return err
	}
	s.publishToGroup(func(message []byte) error {
		select {
		case conn.Send() <- chanio.Packet{Addr: group, Data: slices.Clone(message)}:
			return nil
		case <-conn.Done():
			return chanio.ErrClosed
		}
	})
	return nil
}
