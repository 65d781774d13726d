package natsroom_test

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/natsroom"
)

func TestFlushEndsWithItsRoomWhileThereIsNoServer(t *testing.T) {
	for _, o := range []*natsroom.Options{nil, historyOptions} {
		s := testServer(t)
		nc := connect(t, s.URL())
		a := join(t, nc, "x", o, nil)
		a.members(t, 1)
		s.Close()
		eventually(t, patience, nc.IsReconnecting, "the server has gone")
		before, err := nc.Buffered()
		require.NoError(t, err)
		flushed := make(chan error, 1)
		go func() { flushed <- a.room.Flush(context.Background()) }()
		eventually(t, patience, func() bool {
			now, err := nc.Buffered()
			return err == nil && now > before
		}, "Flush waits")
		a.room.Close()
		require.ErrorIs(t, <-flushed, chanio.ErrClosed)
	}
}

// A pingCutter dials connections that it cuts when they are to send a ping,
// which is what a flush of nats.go is.
type pingCutter struct{ armed atomic.Bool }

func (c *pingCutter) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return &pingedConn{conn, c}, err
}

type pingedConn struct {
	net.Conn
	cutter *pingCutter
}

func (c *pingedConn) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("PING\r\n")) && c.cutter.armed.Swap(false) {
		c.Close()
	}
	return c.Conn.Write(p)
}

// TestAFlushOverALostConnectionSaysSo: with a history nothing was lost, and
// without one that is not known.
func TestAFlushOverALostConnectionSaysSo(t *testing.T) {
	s := testServer(t)
	for _, c := range []struct {
		name string
		o    *natsroom.Options
		want error
	}{
		{"live", nil, nats.ErrDisconnected},
		{"kept", historyOptions, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			cutter := new(pingCutter)
			nc := connect(t, s.URL(), nats.SetCustomDialer(cutter), nats.PingInterval(time.Hour))
			a := join(t, nc, c.name, c.o, nil)
			member := a.members(t, 1)[0]
			cutter.armed.Store(true)
			err := a.room.Flush(t.Context())
			require.False(t, cutter.armed.Load())
			if c.want == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, c.want)
			}
			a.flush(t) // the connection is there again
			a.publish(t, "and on it goes")
			member.hears(t, "and on it goes")
		})
	}
}
