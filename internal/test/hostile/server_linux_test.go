package hostile

import (
	"bufio"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/child"
	"example.com/chanio/internal/test/memory"
)

// A config describes a server.
type config struct {
	Network, Address string // tcp and 127.0.0.1:0 if empty
	TLS              bool
	Descriptors      uint64 // RLIMIT_NOFILE; 0 leaves it
	Unheard          bool   // sessions are received from Sessions, and nothing is done with them
	KeepAlive        bool   // probes after a second, and an end after two lost probes; else no keep-alive

	// These are options of chanio.Options.
	HandshakeTimeout, IdleTimeout, WriteTimeout time.Duration
	MaxHandshakes, WriteBuffer                  int
	Lag                                         chanio.LagPolicy
}

func (c *config) options() *chanio.Options {
	return &chanio.Options{
		HandshakeTimeout: c.HandshakeTimeout, IdleTimeout: c.IdleTimeout, WriteTimeout: c.WriteTimeout,
		MaxHandshakes: c.MaxHandshakes, WriteBuffer: c.WriteBuffer, Lag: c.Lag,
		ManualJoin: true, EventQueue: 1 << 16, KeepAlive: keepAlive(c.KeepAlive),
	}
}

// A state is what a server reports about itself.
type state struct {
	Sessions    int
	Accepted    int64
	Pending     int64
	Received    int64 // bytes
	Members     int
	Goroutines  int
	Descriptors int
	Heap        int64            // bytes that the heap ever took from the system, garbage included
	Ended       map[string]int64 // sessions that have ended, by reason
	Failed      map[string]int64 // accepts and handshakes
}

// These are the requests in a client's first byte.
const (
	wantEcho   = 'E'
	wantHub    = 'J' // to join the hub, and no echo
	wantStream = 'S' // as much as it takes, by Send
)

// piece is a message of a stream.
const piece = 1 << 10

// playServer is the part of a child that serves. It gets a config, answers with
// its address, answers "state" and "live", and multicasts on "publish".
func playServer(t *testing.T, commands *bufio.Scanner) {
	require.True(t, commands.Scan())
	c := config{Network: "tcp", Address: "127.0.0.1:0"}
	require.NoError(t, json.Unmarshal(commands.Bytes(), &c))
	o := c.options()
	if c.TLS {
		var err error
		o.TLS, err = chanio.ServerTLS("../../../testdata/server.crt", "../../../testdata/server.key")
		require.NoError(t, err)
	}
	l, err := chanio.Listen(t.Context(), c.Network, c.Address, o)
	require.NoError(t, err)
	if c.Descriptors > 0 {
		limit := syscall.Rlimit{Cur: c.Descriptors, Max: c.Descriptors}
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	}
	s := &server{l: l, unheard: c.Unheard, ended: make(map[string]int64), failed: make(map[string]int64)}
	s.goroutines.Go(s.accept)
	s.goroutines.Go(s.watch)
	child.Answer(l.Addr())
	for commands.Scan() {
		switch commands.Text() {
		case "state":
			text, err := json.Marshal(s.state())
			require.NoError(t, err)
			child.Answer(string(text))
		case "live":
			child.Answer(memory.Live())
		case "publish": // one MiB
			for range 1 << 20 / piece {
				require.NoError(t, l.Multicast(make([]byte, piece)))
			}
			child.Answer("published")
		}
	}
	require.NoError(t, l.Close())
	s.goroutines.Wait()
	require.Zero(t, l.Stats().BytesPending)
}

type server struct {
	l          *chanio.Listener
	unheard    bool
	goroutines sync.WaitGroup

	mu            sync.Mutex
	ended, failed map[string]int64
}

func (s *server) accept() {
	for session := range s.l.Sessions() {
		if s.unheard {
			continue
		}
		s.goroutines.Go(func() { s.handle(session) })
	}
}

func (s *server) handle(session *chanio.Session) {
	defer session.Close()
	first, ok := <-session.Recv()
	if !ok {
		return
	}
	switch first[0] {
	case wantHub:
		s.l.Hub().Join(session)
		<-session.Done()
	case wantStream:
		m := make([]byte, piece)
		for session.Put(m) == nil {
		}
	default:
		session.Put(first[1:])
		for m := range session.Recv() {
			if session.Put(m) != nil {
				return
			}
		}
	}
}

// watch counts how sessions end and what fails.
func (s *server) watch() {
	for e := range s.l.Events() {
		s.mu.Lock()
		switch e.Kind {
		case chanio.EventDisconnected:
			s.ended[why(e.Err)]++
		case chanio.EventFailed:
			s.failed[why(e.Err)]++
		}
		s.mu.Unlock()
	}
}

// why returns the last part of an error's text, which is its reason.
func why(err error) string {
	if err == nil {
		return "clean"
	}
	if errors.Is(err, chanio.ErrLagged) {
		return "lagged"
	}
	for _, name := range []string{"IdleTimeout", "WriteTimeout", "CloseTimeout", "HandshakeTimeout", "MaxHandshakes"} {
		if strings.Contains(err.Error(), name) {
			return name
		}
	}
	text := ": " + err.Error()
	return text[strings.LastIndex(text, ": ")+2:]
}

func (s *server) state() state {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.l.Stats()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	descriptors, _ := os.ReadDir("/proc/self/fd")
	return state{
		Sessions: s.l.Len(), Accepted: st.Accepted, Pending: st.BytesPending, Received: st.BytesReceived, Members: s.l.Hub().Len(),
		Goroutines: runtime.NumGoroutine(), Descriptors: len(descriptors), Heap: int64(m.HeapSys),
		Ended: maps.Clone(s.ended), Failed: maps.Clone(s.failed),
	}
}

// A remote is a server in a child process, as its parent sees it.
type remote struct {
	t       *testing.T
	process *child.Process
	network string
	address string
	tls     bool
}

func startServer(t *testing.T, c config, env ...string) *remote {
	t.Helper()
	r := &remote{t: t, process: child.Start(t, "server", env...), network: "tcp", tls: c.TLS}
	if c.Network == "" {
		c.Network, c.Address = "tcp", "127.0.0.1:0"
	}
	r.network = c.Network
	text, err := json.Marshal(c)
	require.NoError(t, err)
	r.process.Ask(string(text), &r.address)
	return r
}

func (r *remote) state() (st state) {
	r.t.Helper()
	r.process.Send("state")
	text, ok := r.process.Next()
	require.True(r.t, ok, "the server is gone: %s", r.process.Output())
	require.NoError(r.t, json.Unmarshal([]byte(text), &st))
	return st
}

// live returns how much of the server's heap is reachable.
func (r *remote) live() (bytes int64) {
	r.t.Helper()
	r.process.Ask("live", &bytes)
	return bytes
}

// withLittleMemory is the environment of a server whose memory is measured.
const withLittleMemory = "GOMEMLIMIT=256MiB"

// await asks for the state until it is right.
func (r *remote) await(what string, right func(st state) bool) state {
	r.t.Helper()
	for began := time.Now(); ; {
		st := r.state()
		if right(st) {
			return st
		}
		if time.Since(began) > patience {
			require.FailNow(r.t, "waited too long for "+what, "%+v", st)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// awaitSessions waits until n sessions live.
func (r *remote) awaitSessions(n int) state {
	r.t.Helper()
	return r.await("sessions to come or go", func(st state) bool { return st.Sessions == n })
}
