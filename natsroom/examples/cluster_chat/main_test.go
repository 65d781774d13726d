package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// freeAddr returns a loopback address that is not in use.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// dial connects a client, once the node is up.
func dial(t *testing.T, addr string) (net.Conn, *bufio.Scanner) {
	t.Helper()
	var conn net.Conn
	require.Eventually(t, func() (ok bool) {
		var err error
		conn, err = net.Dial("tcp", addr)
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return conn, bufio.NewScanner(conn)
}

func TestTwoNodesAreOneChat(t *testing.T) {
	for _, history := range []int{0, 50} {
		t.Run(fmt.Sprint("history ", history), func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			at := freeAddr(t)
			first := config{addr: freeAddr(t), serve: at, dir: t.TempDir(), history: history}
			second := config{addr: freeAddr(t), nats: "nats://" + at, history: history}
			ended := make(chan error, 2)
			go func() { ended <- run(ctx, first) }()
			a, heardA := dial(t, first.addr)
			require.True(t, heardA.Scan())
			require.Contains(t, heardA.Text(), "is here")
			go func() { ended <- run(ctx, second) }()
			b, heardB := dial(t, second.addr)
			for heardB.Scan() && !strings.Contains(heardB.Text(), fmt.Sprint(b.LocalAddr(), " is here")) {
			}
			fmt.Fprintln(a, "hello")
			fmt.Fprintln(b, "hi")
			for _, heard := range []*bufio.Scanner{heardA, heardB} {
				var said strings.Builder
				for heard.Scan() {
					said.WriteString(heard.Text() + "\n")
					if strings.Contains(said.String(), "says: hello") && strings.Contains(said.String(), "says: hi") {
						break
					}
				}
				require.NoError(t, heard.Err())
			}
			if history > 0 {
				_, late := dial(t, second.addr)
				require.True(t, late.Scan())
				require.Contains(t, late.Text(), "is here, with 0 others")
			}
			stop()
			require.NoError(t, <-ended)
			require.NoError(t, <-ended)
		})
	}
}
