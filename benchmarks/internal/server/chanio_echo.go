package server

import (
	"context"
	"sync"

	"example.com/chanio"
)

// chanioEcho is the server of the library's first example, for every transport:
// a handler goroutine per session, and a select to answer.
func chanioEcho(ctx context.Context, c Config) (Server, error) {
	l, err := chanioListen(ctx, c)
	if err != nil {
		return nil, err
	}
	s := &chanioServer{l: l}
	handle := handleEcho
	if c.Batch {
		handle = handleEchoBatches
	}
	s.wg.Go(func() { s.echo(handle) })
	return s, nil
}

// chanioListen starts a listener that lives until it is closed, even after ctx
// ends.
func chanioListen(ctx context.Context, c Config) (*chanio.Listener, error) {
	o, err := chanioOptions(c)
	if err != nil {
		return nil, err
	}
	return chanio.Listen(context.WithoutCancel(ctx), c.Endpoint.Network(), c.Endpoint.Address, o)
}

func chanioOptions(c Config) (*chanio.Options, error) {
	lag, err := lagPolicy(c.Lag)
	if err != nil {
		return nil, err
	}
	o := &chanio.Options{
		TLS:         c.Endpoint.ServerTLS,
		ReadBuffer:  c.Endpoint.KernelBuffer,
		WriteBuffer: c.Endpoint.KernelBuffer,
		Lag:         lag,
	}
	if c.Frame {
		o.Framing = chanio.LengthPrefix{Size: frameHeader}
	}
	return o, nil
}

// chanioServer is a listener and the goroutines that use it, which end with it.
type chanioServer struct {
	l  *chanio.Listener
	wg sync.WaitGroup
}

// echo ends when the listener does.
func (s *chanioServer) echo(handle func(*chanio.Session)) {
	for session := range s.l.Sessions() {
		s.wg.Go(func() { handle(session) })
	}
}

func handleEcho(s *chanio.Session) {
	defer s.Close()
	for m := range s.Recv() {
		if s.Put(m) != nil {
			return
		}
	}
}

// handleEchoBatches sends batches back as they arrived.
func handleEchoBatches(s *chanio.Session) {
	defer s.Close()
	for b := range s.RecvBatch() {
		if s.PutBatch(b) != nil {
			return
		}
	}
}

func (s *chanioServer) Addr() string { return s.l.Addr().String() }

func (s *chanioServer) Close() error {
	err := s.l.Close()
	s.wg.Wait()
	return err
}
