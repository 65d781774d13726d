package load

import (
	"context"
	"net"
	"sync"

	"example.com/chanio/benchmarks/internal/report"
)

// plainMulticast counts what arrives on each connection.
func plainMulticast(ctx context.Context, c Config) (*report.Report, error) {
	conns, err := dialAll(ctx, c)
	if err != nil {
		return nil, err
	}
	w := newWindow(c)
	buffers := sync.Pool{New: func() any { return new([readSize]byte) }}
	var wg sync.WaitGroup
	for _, conn := range conns {
		t := w.tally()
		wg.Go(func() {
			defer conn.Close()
			// Each client stops itself at the end of the run: under a flood,
			// closing a thousand clients from outside takes long.
			w.fail(drain(conn, &buffers, func(n int) bool {
				if w.open.Load() {
					t.bytes.Add(int64(n))
				}
				return !w.over.Load()
			}))
		})
	}
	r := w.measure(ctx)
	closeAll(conns)
	wg.Wait()
	r.Messages = r.Bytes / int64(c.Size)
	return r, nil
}

// drain reads from conn until that fails or read, which it calls with the length
// of each read, returns false. Readers of sockets share a few buffers, which
// stay in the CPU's cache however many connections there are: a reader holds no
// buffer while it waits for data.
func drain(conn net.Conn, buffers *sync.Pool, read func(n int) bool) error {
	if raw := rawConn(conn); raw != nil {
		return drainRaw(raw, buffers, read)
	}
	buf := make([]byte, readSize)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		if !read(n) {
			return nil
		}
	}
}
