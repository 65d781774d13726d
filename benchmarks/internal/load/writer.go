package load

import "net"

// A writer sends for a client whose messages in flight may not fit into the
// kernel's buffers, so that the client can read meanwhile. Otherwise client and
// server would deadlock.
type writer struct {
	conn    net.Conn
	pattern *pattern
	orders  chan int // how many messages to send; closed by stop
	done    chan struct{}
	err     error // the error that ended writing; read after done
}

// startWriter starts the writer's goroutine. It ends with stop or when conn is
// closed. If writing fails, it closes conn itself.
func startWriter(conn net.Conn, p *pattern) *writer {
	w := &writer{
		conn:    conn,
		pattern: p,
		orders:  make(chan int, p.flight), // never holds more orders than messages in flight
		done:    make(chan struct{}),
	}
	go w.run()
	return w
}

func (w *writer) run() {
	defer close(w.done)
	for n := range w.orders {
		if _, w.err = w.conn.Write(w.pattern.messages(n)); w.err != nil {
			w.conn.Close()
			return
		}
	}
}

// send orders n messages. It never blocks.
func (w *writer) send(n int) error {
	w.orders <- n
	return nil
}

// stop waits until the writer has ended, which is at once if the connection is
// closed, and returns its error.
func (w *writer) stop() error {
	close(w.orders)
	<-w.done
	return w.err
}
