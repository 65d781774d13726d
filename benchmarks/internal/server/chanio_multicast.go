package server

import (
	"context"
	"fmt"

	"example.com/chanio"
)

// chanioMulticast publishes to a listener's hub, which sessions join
// automatically, or to an IP multicast group.
func chanioMulticast(ctx context.Context, c Config) (Server, error) {
	if c.Endpoint.Datagrams() {
		return chanioGroup(ctx, c)
	}
	l, err := chanioListen(ctx, c)
	if err != nil {
		return nil, err
	}
	h := &chanioHub{chanioServer: chanioServer{l: l}}
	h.publisher = startPublisher(c, l.Multicast)
	h.wg.Go(h.accept)
	return h, nil
}

type chanioHub struct {
	chanioServer
	publisher *publisher
}

// accept ends when the listener does.
func (h *chanioHub) accept() {
	for session := range h.l.Sessions() {
		h.publisher.enter()
		h.wg.Go(func() {
			defer session.Close()
			for range session.Recv() { // until the member leaves
			}
		})
	}
}

// Close first ends the listener and its hub, since Multicast may be waiting for
// a member.
func (h *chanioHub) Close() error {
	err := h.chanioServer.Close()
	h.publisher.stop()
	return err
}

// lagPolicy returns the policy for a value of the -lag flag.
func lagPolicy(name string) (chanio.LagPolicy, error) {
	switch name {
	case "block":
		return chanio.LagBlock, nil
	case "drop":
		return chanio.LagDrop, nil
	case "disconnect", "":
		return chanio.LagDisconnect, nil
	}
	return 0, fmt.Errorf("lag policy %q is none of block, drop, disconnect", name)
}
