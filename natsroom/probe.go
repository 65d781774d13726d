package natsroom

import (
	"context"
	"net"
	"time"
)

// probe returns why the server refuses the connection, if there is no connection
// and the reason can be found out. A connection that retries forever does not
// say what it failed on.
func (n *node) probe(ctx context.Context) error {
	o := n.nc.Opts
	if n.nc.IsConnected() || n.nc.IsClosed() || o.CustomDialer != nil || o.InProcessServer != nil {
		return nil
	}
	o.RetryOnFailedConnect, o.AllowReconnect = false, false
	o.ConnectedCB, o.DisconnectedCB, o.DisconnectedErrCB, o.ClosedCB = nil, nil, nil, nil
	o.AsyncErrorCB, o.ReconnectedCB, o.DiscoveredServersCB, o.ReconnectErrCB = nil, nil, nil, nil
	dialer := &probeDialer{ctx: ctx, timeout: o.Timeout}
	defer dialer.end()
	o.CustomDialer = dialer
	nc, err := o.Connect()
	if err == nil {
		nc.Close()
	}
	return err
}

// A probeDialer dials until ctx ends, then closes what it has dialed.
type probeDialer struct {
	ctx     context.Context
	timeout time.Duration
	stops   []func() bool
}

// Dial implements nats.CustomDialer.
func (d *probeDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: d.timeout}).DialContext(d.ctx, network, address)
	if err == nil {
		d.stops = append(d.stops, context.AfterFunc(d.ctx, func() { conn.Close() }))
	}
	return conn, err
}

func (d *probeDialer) end() {
	for _, stop := range d.stops {
		stop()
	}
}
