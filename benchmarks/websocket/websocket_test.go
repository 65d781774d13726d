package websocket

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func message(size int) []byte { return []byte(strings.Repeat("compress me ", size/12+1)[:size]) }

// dial connects n clients.
func dial(b *testing.B, s server, n int, deflate bool) []net.Conn {
	b.Helper()
	web := httptest.NewServer(s)
	b.Cleanup(web.Close)
	u, err := url.Parse("ws" + web.URL[4:])
	require.NoError(b, err)
	d := ws.Dialer{}
	if deflate {
		d.Extensions = []httphead.Option{wsflate.Parameters{ServerNoContextTakeover: true, ClientNoContextTakeover: true}.Option()}
	}
	var conns []net.Conn
	for range n {
		conn, err := net.Dial("tcp", u.Host)
		require.NoError(b, err)
		b.Cleanup(func() { conn.Close() })
		_, hs, err := d.Upgrade(conn, u)
		require.NoError(b, err)
		require.Equal(b, deflate, len(hs.Extensions) > 0)
		conns = append(conns, conn)
	}
	return conns
}

// BenchmarkMulticast publishes as fast as one publisher can. messages/s counts
// the messages that all clients receive together.
func BenchmarkMulticast(b *testing.B) {
	for _, deflate := range []bool{false, true} {
		for _, size := range []int{32, 1024} {
			for _, clients := range []int{1, 100, 5000} {
				for _, s := range servers {
					b.Run(fmt.Sprintf("deflate=%v/size=%d/clients=%d/%s", deflate, size, clients, s.name), func(b *testing.B) {
						multicast(b, s.make(b, false, deflate), clients, message(size), deflate)
					})
				}
				if !deflate {
					b.Run(fmt.Sprintf("deflate=false/size=%d/clients=%d/chanio tcp", size, clients), func(b *testing.B) {
						multicastTCP(b, clients, message(size))
					})
				}
			}
		}
	}
}

// publishAll publishes after a message that every client must have received: by
// then all are members.
func publishAll(b *testing.B, s server, conns []net.Conn, m []byte) {
	first := make([]byte, 2)
	for joined := false; !joined; {
		s.publish(m)
		s.settle()
		joined = true
		for _, c := range conns {
			c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			if _, err := io.ReadFull(c, first); err != nil {
				joined = false
			}
			c.SetReadDeadline(time.Time{})
		}
	}
	for _, c := range conns {
		go io.Copy(io.Discard, c)
	}
	began := time.Now() // b.Elapsed ends with the loop, and the hub must still write what it holds
	for b.Loop() {
		s.publish(m)
	}
	s.settle()
	b.ReportMetric(float64(b.N)*float64(len(conns))/time.Since(began).Seconds(), "messages/s")
}

func multicast(b *testing.B, s server, clients int, m []byte, deflate bool) {
	publishAll(b, s, dial(b, s, clients, deflate), m)
	s.stop()
}

// multicastTCP is the tcp hub, the baseline for the WebSockets' hub.
func multicastTCP(b *testing.B, clients int, m []byte) {
	l, err := chanio.Listen(b.Context(), "tcp", "127.0.0.1:0", &chanio.Options{Lag: chanio.LagBlock})
	require.NoError(b, err)
	defer l.Close()
	go func() {
		for range l.Sessions() {
		}
	}()
	var conns []net.Conn
	for range clients {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(b, err)
		defer c.Close()
		conns = append(conns, c)
	}
	publishAll(b, server{
		publish: func(m []byte) { l.Multicast(m) },
		settle:  func() { l.Hub().Flush(b.Context()) },
	}, conns, m)
}

// BenchmarkEcho keeps a number of messages in flight for each client.
func BenchmarkEcho(b *testing.B) {
	for _, load := range []struct{ clients, flight int }{{1, 1}, {100, 1}, {100, 1000}} {
		for _, size := range []int{32, 1024} {
			for _, s := range servers {
				b.Run(fmt.Sprintf("clients=%d/flight=%d/size=%d/%s", load.clients, load.flight, size, s.name), func(b *testing.B) {
					e := s.make(b, true, false)
					echo(b, dial(b, e, load.clients, false), load.flight, message(size))
					e.stop()
				})
			}
		}
	}
}

func echo(b *testing.B, conns []net.Conn, flight int, m []byte) {
	out := ws.MustCompileFrame(ws.MaskFrame(ws.NewBinaryFrame(m)))
	back := len(ws.MustCompileFrame(ws.NewBinaryFrame(m)))
	block := bytes.Repeat(out, flight)
	var rounds atomic.Int64
	var clients sync.WaitGroup
	b.ResetTimer()
	for _, c := range conns {
		clients.Go(func() {
			in := make([]byte, back*flight)
			for rounds.Add(1) <= int64(b.N) {
				sent := make(chan struct{})
				go func() { c.Write(block); close(sent) }()
				if _, err := io.ReadFull(c, in); err != nil {
					b.Error(err)
					return
				}
				<-sent
			}
		})
	}
	clients.Wait()
	b.ReportMetric(float64(b.N)*float64(flight)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkIdle reports the memory of a connection that waits, its handler's
// goroutine included. The clients are in a process of their own.
func BenchmarkIdle(b *testing.B) {
	const n = 5000
	for _, s := range servers {
		b.Run(s.name, func(b *testing.B) {
			if s.name == "chanio batches" {
				b.Skip("it is chanio's")
			}
			e := s.make(b, true, false)
			web := httptest.NewServer(e)
			b.Cleanup(web.Close)
			before := memory()
			bye := dialElsewhere(b, web.URL, n)
			b.ReportMetric(float64(memory()-before)/n, "B/conn")
			bye()
			e.stop()
		})
	}
}

// dialElsewhere starts a process that dials n clients, which wait until bye.
func dialElsewhere(b *testing.B, url string, n int) (bye func()) {
	c := exec.Command(os.Args[0], "-test.run=^TestClientsOfABenchmark$")
	c.Env = append(os.Environ(), "CLIENTS_OF="+url, "CLIENTS="+strconv.Itoa(n))
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	require.NoError(b, err)
	out, err := c.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, c.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(b, err)
	require.Equal(b, "ready\n", line)
	return func() {
		in.Close()
		c.Wait() // its output was cut off
	}
}

// TestClientsOfABenchmark is the process that dialElsewhere starts.
func TestClientsOfABenchmark(t *testing.T) {
	server, err := url.Parse(os.Getenv("CLIENTS_OF"))
	require.NoError(t, err)
	n, err := strconv.Atoi(os.Getenv("CLIENTS"))
	if err != nil {
		t.Skip("no benchmark has asked for it")
	}
	server.Scheme = "ws"
	for range n {
		conn, err := net.Dial("tcp", server.Host)
		require.NoError(t, err)
		defer conn.Close()
		_, _, err = ws.Dialer{}.Upgrade(conn, server)
		require.NoError(t, err)
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}

func memory() int64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// BenchmarkFanout sends one message to 1,000 idle clients, and waits until the
// last has it.
func BenchmarkFanout(b *testing.B) {
	const n = 1000
	m := message(32)
	for _, s := range servers {
		b.Run(s.name, func(b *testing.B) {
			e := s.make(b, false, false)
			conns := dial(b, e, n, false)
			frame := len(ws.MustCompileFrame(ws.NewBinaryFrame(m)))
			var have sync.WaitGroup
			for _, c := range conns {
				go func() {
					in := make([]byte, frame)
					for {
						if _, err := io.ReadFull(c, in); err != nil {
							return
						}
						have.Done()
					}
				}()
			}
			time.Sleep(time.Second) // all are members, and idle
			var took []time.Duration
			for b.Loop() {
				have.Add(n)
				began := time.Now()
				e.publish(m)
				have.Wait()
				took = append(took, time.Since(began))
			}
			e.settle()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
			e.stop()
		})
	}
}
