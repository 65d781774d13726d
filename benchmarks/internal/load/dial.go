package load

import (
	"context"
	"net"

	"golang.org/x/sync/errgroup"
)

// dialing is how many connections are dialed at a time.
const dialing = 64

// dialAll connects all clients, or none.
func dialAll(ctx context.Context, c Config) ([]net.Conn, error) {
	conns := make([]net.Conn, c.Clients)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(dialing)
	for i := range conns {
		g.Go(func() (err error) {
			conns[i], err = c.Endpoint.Dial(ctx, i)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		closeAll(conns)
		return nil, err
	}
	return conns, nil
}

func closeAll(conns []net.Conn) {
	for _, conn := range conns {
		if conn != nil {
			conn.Close()
		}
	}
}
