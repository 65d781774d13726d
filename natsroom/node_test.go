package natsroom_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"example.com/chanio/natsroom/embedded"
)

// nodeProcess runs a node. It is the role of a process. It obeys commands, one a line:
// "start", "halt", "report".
func nodeProcess() {
	in := bufio.NewScanner(os.Stdin)
	in.Scan()
	var c crowdConfig
	if err := json.Unmarshal(in.Bytes(), &c); err != nil {
		fatal(err)
	}
	nc, at, err := nodeConnection(&c)
	if err != nil {
		fatal(err)
	}
	w, err := newCrowd(nc, &c)
	if err != nil {
		fatal(err)
	}
	out := json.NewEncoder(os.Stdout)
	fmt.Println("ready", at)
	for in.Scan() {
		var do string
		if err := json.Unmarshal(in.Bytes(), &do); err != nil {
			fatal(err)
		}
		switch do {
		case "start":
			w.start(&c, 0)
		case "halt":
			if err := w.halt(); err != nil {
				fatal(err)
			}
			fmt.Println("halted")
		case "report":
			if err := out.Encode(w.report()); err != nil {
				fatal(err)
			}
		}
	}
}

// nodeConnection connects to the server, which it starts first if c says so. at
// is the address at which others reach that server.
func nodeConnection(c *crowdConfig) (nc *nats.Conn, at string, err error) {
	if c.Embedded != "" {
		s, err := embedded.Start(context.Background(), &embedded.Options{Addr: c.Embedded, Dir: c.Dir})
		if err != nil {
			return nil, "", err
		}
		nc, err = s.Connect(nats.ReconnectWait(100 * time.Millisecond))
		return nc, strings.TrimPrefix(s.URL(), "nats://"), err
	}
	nc, err = nats.Connect(c.URL, append(nodeOptions(c.Ping), nats.SetCustomDialer(smallDialer(c.ReadBuffer)))...)
	return nc, "", err
}

// A smallDialer dials with a receive buffer of that size; 0 is the system's
// default.
type smallDialer int

func (d smallDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	if err == nil && d > 0 {
		err = conn.(*net.TCPConn).SetReadBuffer(int(d))
	}
	return conn, err
}

func nodeOptions(ping time.Duration) []nats.Option {
	if ping == 0 {
		ping = time.Second
	}
	return []nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.PingInterval(ping), nats.MaxPingsOutstanding(2), nats.Timeout(5 * time.Second),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
		// A server announces its own address, which another test's server may get
		// once this one is killed.
		nats.IgnoreDiscoveredServers(),
	}
}

// A farNode is a crowd in a process of its own.
type farNode struct {
	*process
	embedded string // the address of its server
}

func startNode(t testing.TB, c crowdConfig) *farNode {
	t.Helper()
	p, line := spawn(t, "node", c)
	at, ready := strings.CutPrefix(line, "ready ")
	require.True(t, ready, line)
	return &farNode{p, at}
}

func (n *farNode) report(t testing.TB) (r report) {
	t.Helper()
	n.tell(t, "report")
	require.NoError(t, json.Unmarshal([]byte(n.line(t)), &r))
	return r
}

func (n *farNode) halt(t testing.TB) {
	t.Helper()
	n.tell(t, "halt")
	require.Equal(t, "halted", n.line(t))
}
