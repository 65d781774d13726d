//go:build unix

package soak

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// timeout is the timeout of everything in the soak that should never take long.
// A slow machine or a stopped process must not reach it.
const timeout = time.Minute

// errPlanned is the cause of an abort by plan.
var errPlanned = errors.New("aborted by plan")

// A place is where a server can be reached.
type place struct {
	Network, Address string
	TLS, Framed      bool
}

func (p place) wire() wire { return wire{framed: p.Framed || p.keepsMessages()} }

// keepsMessages reports whether the network itself preserves messages.
func (p place) keepsMessages() bool { return p.Network == "unixpacket" }

// options returns the options that both sides of a place have in common.
func (p place) options(queue int) *chanio.Options {
	o := &chanio.Options{RecvQueue: queue, SendQueue: queue, WriteTimeout: timeout, CloseTimeout: timeout, DialTimeout: timeout}
	if p.Framed {
		o.Framing = chanio.LengthPrefix{Size: 4}
	}
	return o
}

// A record is what the server knows about a conversation.
type record struct {
	Received int64 // of the client's stream
	Err      error
	Clean    bool // everything was said, and Close returned nil
}

// A server serves one place, and keeps records.
type server struct {
	place
	l    *chanio.Listener
	hub  bool // it publishes to its sessions
	soak *soak

	published atomic.Int64 // the number of the hub's last message
	handlers  sync.WaitGroup
	accepting chan struct{} // closed when no more sessions are accepted

	mu      sync.Mutex
	records map[uint64]record
}

// serve starts a server. Everything but its place is drawn from rng.
func serve(t *testing.T, k *soak, at place, rng *rand.Rand) *server {
	o := at.options([]int{-1, 1, 0}[rng.IntN(3)])
	if at.TLS {
		o.TLS = k.serverTLS
	}
	if rng.IntN(2) == 0 {
		o.WriteBuffer = 8 << 10 // parts of messages, often
	}
	srv := &server{place: at, hub: rng.IntN(2) == 0, soak: k, records: make(map[uint64]record), accepting: make(chan struct{})}
	o.ManualJoin = !srv.hub
	if rng.IntN(4) == 0 {
		o.MaxLag = 64 << 10 // a client that stalls may be disconnected
	}
	srv.l = listen(t, at, o)
	srv.Address = srv.l.Addr().String()
	go srv.accept()
	return srv
}

// listen listens on a port below the ephemeral ones: else a connection could
// take it while the listener restarts.
func listen(t *testing.T, at place, o *chanio.Options) *chanio.Listener {
	for range 100 {
		address := at.Address
		if at.Network != "unix" {
			address = fmt.Sprintf("127.0.0.1:%d", 12_000+rand.IntN(16_000))
		}
		l, err := chanio.Listen(t.Context(), at.Network, address, o)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		require.NoError(t, err)
		return l
	}
	require.FailNow(t, "found no free port")
	return nil
}

// accept runs the handlers, until the listener has stopped. serve starts it.
func (srv *server) accept() {
	defer close(srv.accepting)
	for s := range srv.l.Sessions() {
		srv.handlers.Go(func() { srv.handle(s) })
	}
}

// publish multicasts numbered messages until ctx ends.
func (srv *server) publish(ctx context.Context, rng *rand.Rand) {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for range 1 + rng.IntN(4) {
			number := srv.published.Load() + 1
			payload := append(binary.BigEndian.AppendUint64(nil, uint64(number)), noise[:rng.IntN(200)]...)
			if err := srv.l.Multicast(srv.wire().encode(published, payload)); err != nil {
				srv.soak.problem("%v: multicast: %v", srv.place, err)
				return
			}
			srv.published.Store(number)
		}
	}
}

// handle serves one session.
func (srv *server) handle(s *chanio.Session) {
	h := &handler{server: srv, s: s, decoder: decoder{wire: srv.wire()}, voice: voice{s: s}}
	h.report.Joined = srv.published.Load()
	err := h.run()
	closed := s.Close()
	if h.plan.ID == 0 {
		return // its client never identified itself
	}
	if err != nil {
		srv.soak.problem("server of %+v: %v", h.plan, err)
	}
	if srv.wire().framed || srv.hub || h.voice.unsure {
		// The session sent more than its Puts, or a message may have arrived too late.
	} else if st := s.Stats(); h.put != st.BytesSent+st.Undelivered || st.BytesPending != 0 {
		srv.soak.problem("server of %+v: put %d bytes, and %+v", h.plan, h.put, st)
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.records[h.plan.ID] = record{Received: h.in.offset, Err: s.Err(), Clean: h.said && closed == nil && s.Err() == nil}
}

// A handler is the server's side of a conversation.
type handler struct {
	*server
	s       *chanio.Session
	voice   voice
	decoder decoder
	plan    plan
	rng     *rand.Rand
	in, out stream
	report  report
	got     int   // data messages
	put     int64 // bytes that were accepted
	said    bool  // the summary was accepted
}

// run returns the client's error: data that it should not have sent.
func (h *handler) run() error {
	var err error
	hearAll(h.s, h.s.ID()%2 == 0, func(m []byte) bool {
		err = h.decoder.feed(m, h.take)
		return err != nil || h.said
	})
	if err != nil || h.said {
		return err
	}
	if h.s.Err() == nil && h.plan.ID != 0 {
		h.sum()
	}
	return nil
}

func (h *handler) take(k kind, payload []byte) error {
	switch k {
	case hello:
		if err := json.Unmarshal(payload, &h.plan); err != nil {
			return err
		}
		h.rng = h.plan.rand(1)
		h.voice.rng, h.voice.batches = h.plan.rand(3), h.plan.Batches
		h.in, h.out = streamsOf(h.plan.ID)
		if h.plan.Service == source {
			for i := range h.plan.Messages {
				h.turn(i)
				h.send(h.plan.size(h.rng))
			}
			h.sum()
		}
		return nil
	case data:
		h.turn(h.got)
		h.got++
		if err := h.in.expect(payload); err != nil {
			return err
		}
		if h.plan.Service == echo {
			h.send(len(payload))
		}
		return nil
	}
	return fmt.Errorf("a message of kind %d", k)
}

// turn does what the plan has for the server before message i.
func (h *handler) turn(i int) {
	if i == h.plan.ServerStallAt {
		pause(h.plan.ServerStall, h.s.Done())
	}
	if h.plan.ServerAborts > 0 && i == h.plan.ServerAborts {
		h.s.Abort(errPlanned)
	}
}

func (h *handler) send(n int) { h.write(h.decoder.encode(data, h.out.next(n))) }

func (h *handler) write(m []byte) bool {
	if !h.voice.say(context.Background(), m) {
		return false
	}
	h.put += int64(len(m))
	return true
}

// sum sends the summary.
func (h *handler) sum() {
	h.report.Received, h.report.Sent = h.in.offset, h.out.offset
	h.report.Published = h.published.Load()
	h.said = h.write(h.decoder.encodeJSON(summary, h.report))
}

// restart restarts the server, which must come back.
func (srv *server) restart() {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := srv.l.Restart(ctx); err != nil {
		srv.soak.problem("%v: restart: %v", srv.place, err)
	}
}

// end ends the server, whose clients have all gone, and checks that nothing is
// left of it.
func (srv *server) end(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	require.NoError(t, srv.l.Shutdown(ctx), srv.place)
	<-srv.accepting
	srv.handlers.Wait()
	require.NoError(t, srv.l.Err())
	st := srv.l.Stats()
	require.Zero(t, st.Sessions)
	require.Zero(t, st.BytesPending)
	require.Zero(t, srv.l.Len())
	require.Zero(t, srv.l.Hub().Len())
	if srv.Network == "unix" {
		_, err := os.Stat(srv.Address)
		require.ErrorIs(t, err, os.ErrNotExist)
	}
}

// pause waits for d, unless done is closed earlier.
func pause(d time.Duration, done <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
	}
}
