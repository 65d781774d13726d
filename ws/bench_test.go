package ws

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// BenchmarkMulticast publishes as fast as one publisher can to clients that read
// all; messages/s counts what they receive together.
func BenchmarkMulticast(b *testing.B) {
	for _, size := range []int{32, 1024} {
		message := []byte(strings.Repeat("compress me ", size/12+1)[:size])
		for _, clients := range []int{1, 100} {
			for name, run := range map[string]func(b *testing.B, clients int, message []byte){
				"tcp": multicastTCP,
				"ws":  func(b *testing.B, n int, m []byte) { multicastWS(b, n, m, &Options{}) },
				"ws compressed": func(b *testing.B, n int, m []byte) {
					multicastWS(b, n, m, &Options{Compression: &Compression{Threshold: -1}})
				},
				"gorilla":         func(b *testing.B, n int, m []byte) { multicastGorilla(b, n, m, false) },
				"gorilla deflate": func(b *testing.B, n int, m []byte) { multicastGorilla(b, n, m, true) },
			} {
				b.Run(fmt.Sprintf("%s/%d clients/%d B", name, clients, size), func(b *testing.B) { run(b, clients, message) })
			}
		}
	}
}

// drains reads all that comes on conn until its end.
func drains(b *testing.B, conn net.Conn) {
	conn.SetDeadline(time.Time{})
	go io.Copy(io.Discard, conn)
}

func report(b *testing.B, clients int) {
	b.ReportMetric(float64(b.N)*float64(clients)/b.Elapsed().Seconds(), "messages/s")
}

func publish(b *testing.B, h *chanio.Hub, clients int, message []byte) {
	require.Eventually(b, func() bool { return h.Len() == clients }, patience, time.Millisecond)
	for b.Loop() {
		if err := h.Multicast(message); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, h.Flush(context.Background()))
	report(b, clients)
}

func multicastTCP(b *testing.B, clients int, message []byte) {
	l, err := chanio.Listen(context.Background(), "tcp", "127.0.0.1:0", nil)
	require.NoError(b, err)
	defer l.Close()
	go func() {
		for range l.Sessions() {
		}
	}()
	for range clients {
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(b, err)
		defer conn.Close()
		drains(b, conn)
	}
	publish(b, l.Hub(), clients, message)
}

func multicastWS(b *testing.B, clients int, message []byte, o *Options) {
	h, url := serve(b, o, func(*chanio.Session) {})
	for range clients {
		drains(b, dialRaw(b, url, o.Compression != nil).Conn)
	}
	publish(b, h.Listener().Hub(), clients, message)
}

// multicastGorilla is what its users do: a prepared message, and a channel and a
// goroutine a client.
func multicastGorilla(b *testing.B, clients int, message []byte, deflate bool) {
	u := gorilla.Upgrader{EnableCompression: deflate}
	conns := make(chan *gorilla.Conn, clients)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := u.Upgrade(w, r, nil); err == nil {
			conns <- c
		}
	}))
	defer server.Close()
	var queues []chan *gorilla.PreparedMessage
	var writers sync.WaitGroup
	for range clients {
		peer := dialRaw(b, "ws"+server.URL[4:], deflate)
		defer peer.Close()
		drains(b, peer.Conn)
		c, q := <-conns, make(chan *gorilla.PreparedMessage, 256)
		defer c.Close()
		queues = append(queues, q)
		writers.Go(func() {
			for m := range q {
				if c.WritePreparedMessage(m) != nil {
					return
				}
			}
		})
	}
	for b.Loop() {
		m, err := gorilla.NewPreparedMessage(gorilla.BinaryMessage, message)
		if err != nil {
			b.Fatal(err)
		}
		for _, q := range queues {
			q <- m
		}
	}
	for _, q := range queues {
		close(q)
	}
	writers.Wait()
	report(b, clients)
}
