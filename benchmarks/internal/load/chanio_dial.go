package load

import (
	"context"

	"example.com/chanio"
)

// dialSessions connects all clients. After an error it returns those already
// connected.
func dialSessions(ctx context.Context, c Config) ([]*chanio.Session, error) {
	o := &chanio.Options{
		TLS:         c.Endpoint.ClientTLS,
		ReadBuffer:  c.Endpoint.KernelBuffer,
		WriteBuffer: c.Endpoint.KernelBuffer,
	}
	if c.Frame {
		o.Framing = chanio.LengthPrefix{Size: frameHeader}
	}
	var sessions []*chanio.Session
	for range c.Clients {
		s, err := chanio.Dial(ctx, c.Endpoint.Network(), c.Endpoint.Address, o)
		if err != nil {
			return sessions, err
		}
		sessions = append(sessions, s)
	}
	return sessions, nil
}

// abortAll aborts sessions and waits until they have ended.
func abortAll(sessions []*chanio.Session) {
	for _, s := range sessions {
		s.Abort(nil)
	}
	for _, s := range sessions {
		<-s.Done()
	}
}
