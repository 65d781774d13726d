package hostile

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/child"
)

// playEvery is the part of a child that echoes on every transport. It answers
// with the addresses and then waits for signals, not for commands, because
// reads will fail: SIGUSR1 asks for the state of its listeners, SIGTERM ends
// it.
func playEvery(t *testing.T, _ *bufio.Scanner) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGTERM)
	defer signal.Stop(signals)
	bound, err := time.ParseDuration(os.Getenv(boundEnv))
	require.NoError(t, err)
	certificate, err := chanio.ServerTLS("../../../testdata/server.crt", "../../../testdata/server.key")
	require.NoError(t, err)
	var goroutines sync.WaitGroup
	var all []*chanio.Listener
	for _, name := range everyTransport {
		o := &chanio.Options{IdleTimeout: bound, WriteTimeout: bound, CloseTimeout: bound, HandshakeTimeout: bound}
		network, address := "tcp", "127.0.0.1:0"
		switch name {
		case "tls":
			o.TLS = certificate
		case "unix":
			network, address = "unix", filepath.Join(t.TempDir(), "s")
		case "udp":
			network = "udp"
		}
		l, err := chanio.Listen(t.Context(), network, address, o)
		require.NoError(t, err)
		all = append(all, l)
		s := &server{l: l}
		goroutines.Go(s.acceptEchoes)
		child.Answer(l.Addr())
	}
	end := func() {
		for _, l := range all {
			require.NoError(t, l.Close())
		}
		goroutines.Wait()
	}
	tooLong := time.After(10 * patience) // the parent has ended
	for {
		select {
		case sig := <-signals:
			if sig == syscall.SIGTERM {
				end()
				return
			}
		case <-tooLong:
			return
		}
		state := "all serve"
		for i, l := range all {
			if err := l.Err(); err != nil {
				state = fmt.Sprint(everyTransport[i], ": ", err)
			}
		}
		child.Answer(state)
	}
}

// boundEnv has the timeout for everything that a server waits for. After an
// EAGAIN without a reason, Go's poller may wait for an event that never comes,
// so a short timeout is needed there. Elsewhere it would only trouble slow
// machines.
const (
	boundEnv   = "CHANIO_TEST_BOUND"
	shortBound = 2 * time.Second
)

// everyTransport lists what playEvery listens on.
var everyTransport = []string{"tcp", "tls", "unix", "udp"}

func (s *server) acceptEchoes() {
	for session := range s.l.Sessions() {
		s.goroutines.Go(func() {
			defer session.Close()
			for m := range session.Recv() {
				if session.Put(m) != nil {
					return
				}
			}
		})
	}
	s.goroutines.Wait()
}

// A fault is an error that the kernel returns for some calls of a server.
type fault struct {
	calls  string // separated by commas
	name   string // of the error
	when   string // in each thread, as strace(1) counts them
	breaks bool   // the connection that it hits may end
}

// Each thread gets only a few of those that break connections. If they went on,
// it would be luck whether a conversation ever gets through: an Accept that waits
// after an EAGAIN is woken by the next client only, and then has the whole
// backlog to take before that one.
var faults = []fault{
	{calls: "read,recvfrom", name: "EINTR", when: "1+2"},
	{calls: "write,sendto,writev", name: "EINTR", when: "1+2"},
	// Not every second one: with a timer pending, Go's scheduler alternates
	// between a call that waits for the timer and one that does not wait, and
	// would never get to sleep.
	{calls: "?epoll_wait,epoll_pwait", name: "EINTR", when: "1+3"},
	{calls: "accept4", name: "EINTR", when: "1+2"},
	{calls: "recvmmsg", name: "EINTR", when: "1+2"},
	{calls: "sendmmsg", name: "EINTR", when: "1+2"},
	// The kernel returns this only if there is nothing, and Go's poller then
	// waits for more, so a call that gets it by mistake may wait long.
	{calls: "read,recvfrom", name: "EAGAIN", when: "5..50+5", breaks: true},
	{calls: "write,sendto,writev", name: "EAGAIN", when: "5..50+5", breaks: true},
	{calls: "accept4", name: "EAGAIN", when: "1", breaks: true},
	{calls: "recvmmsg", name: "EAGAIN", when: "1+2"},
	{calls: "sendmmsg", name: "EAGAIN", when: "1+2"},
	{calls: "accept4", name: "ECONNABORTED", when: "1+2"},
	{calls: "accept4", name: "EMFILE", when: "1+2"},
	{calls: "accept4", name: "ENFILE", when: "1+2"},
	{calls: "accept4", name: "ENOBUFS", when: "1+2"},
	{calls: "accept4", name: "ENOMEM", when: "1+2"},
	{calls: "recvmmsg", name: "ENOBUFS", when: "1+2"},
	{calls: "recvmmsg", name: "ENOMEM", when: "1+2"},
	{calls: "sendmmsg", name: "ENOBUFS", when: "1+2"},
	{calls: "sendmmsg", name: "ENOMEM", when: "1+2"},
	{calls: "sendmmsg", name: "EPERM", when: "1+2"}, // a packet filter
	{calls: "read,recvfrom", name: "ENOBUFS", when: "5..65+20", breaks: true},
	{calls: "read,recvfrom", name: "ENOMEM", when: "5..65+20", breaks: true},
	{calls: "read,recvfrom", name: "ECONNRESET", when: "5..65+20", breaks: true},
	// Not write: Go's runtime writes to wake its poller, and that must not fail.
	{calls: "writev,sendmsg", name: "ENOBUFS", when: "1..16+5", breaks: true},
	{calls: "writev,sendmsg", name: "ENOMEM", when: "1..16+5", breaks: true},
}

func TestErrorsOfTheKernelEndNoServer(t *testing.T) {
	long(t)
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	for _, f := range faults {
		t.Run(strings.ReplaceAll(f.calls, ",", " and ")+" "+f.name, func(t *testing.T) {
			t.Parallel()
			bound, within, mayBreak := patience, patience, patience
			if f.breaks {
				bound, within, mayBreak = shortBound, 2*shortBound, 0
			}
			p := child.Start(t, "every transport", boundEnv+"="+bound.String())
			addresses := make(map[string]string)
			for _, name := range everyTransport {
				var address string
				p.Ask("", &address)
				addresses[name] = address
			}
			log, stop := inject(t, p.PID(), f)
			broken := make([]int, len(everyTransport))
			// A conversation may get by without the call: a write has several parts
			// only now and then.
			for began := time.Now(); injections(log) == 0 && !t.Failed() && time.Since(began) < patience; {
				var clients sync.WaitGroup
				for i, name := range everyTransport {
					c := conversation{t: t, name: name, address: addresses[name]}
					clients.Go(func() { broken[i] += c.last(within, mayBreak) })
				}
				clients.Wait()
			}
			stop()
			count := injections(log)
			if t.Failed() {
				return
			}
			require.Positive(t, count, "nothing was injected")
			p.Signal(syscall.SIGUSR1)
			state, ok := p.Next()
			require.True(t, ok, "the server is gone: %s", p.Output())
			require.Equal(t, "all serve", state)
			for _, name := range everyTransport {
				c := conversation{t: t, name: name, address: addresses[name]}
				c.last(patience, bound) // the server may end a client that got no CPU
			}
			t.Logf("injected %d times; connections that ended, of %v: %v", count, everyTransport, broken)
			p.Signal(syscall.SIGTERM)
			require.NoError(t, p.End(), p.Output())
		})
	}
}

// inject attaches strace to a process, and strace keeps a log of the calls. The
// function that inject returns detaches it.
func inject(t *testing.T, pid int, f fault) (log string, stop func()) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "log")
	cmd := exec.CommandContext(t.Context(), "strace", "-f", "-o", log, "-p", fmt.Sprint(pid),
		"-e", "trace="+f.calls, "-e", fmt.Sprintf("inject=%s:error=%s:when=%s", f.calls, f.name, f.when))
	said, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewReader(said)
	line, err := lines.ReadString('\n')
	if err != nil || !strings.Contains(line, "attached") {
		cmd.Wait()
		t.Skipf("strace can't attach here: %s", line)
	}
	drained := make(chan struct{})
	go func() { defer close(drained); io.Copy(io.Discard, lines) }()
	return log, func() {
		awaitQuiet(t, log) // else a call in progress would be left half injected
		cmd.Process.Signal(syscall.SIGINT)
		<-drained
		cmd.Wait()
	}
}

// injections returns how many injections a log has. The log may not exist yet.
func injections(log string) int {
	text, _ := os.ReadFile(log)
	return bytes.Count(text, []byte("(INJECTED)"))
}

// awaitQuiet waits until a log has stopped growing: an idle server makes no
// calls.
func awaitQuiet(t *testing.T, log string) {
	t.Helper()
	last := int64(-1)
	began := time.Now()
	for same := 0; same < 5; same++ {
		if time.Since(began) > patience {
			t.Errorf("the server does not become idle")
			return
		}
		<-time.After(20 * time.Millisecond)
		info, err := os.Stat(log)
		if err == nil && info.Size() != last {
			last, same = info.Size(), 0
		}
	}
}

// wanted is how many datagrams a conversation wants back. A conversation over a
// stream wants 3*much bytes.
const (
	wanted = 200
	much   = 20 << 10
)

// A conversation is a client that keeps sending until it has its answers.
// An answer that arrives late is no loss, a wrong one is.
type conversation struct {
	t       *testing.T
	name    string
	address string
}

// last tries until one conversation completes, each time for within, and returns
// how many were broken off before that. None may be sooner than mayBreak after
// it began.
func (c conversation) last(within, mayBreak time.Duration) (broken int) {
	for began := time.Now(); ; broken++ {
		once := c.stream
		if c.name == "udp" {
			once = c.datagrams
		}
		start := time.Now()
		err := once(within)
		switch {
		case err == nil:
			return broken
		case time.Since(start) < mayBreak || time.Since(began) >= patience:
			c.t.Errorf("%s: %v", c.name, err)
			return broken
		}
	}
}

// stream sends, mostly a byte at a time, until enough has come back, and then
// ends its stream. Everything that it sent must come back before the server's
// end.
func (c conversation) stream(within time.Duration) error {
	network := "tcp"
	if c.name == "unix" {
		network = "unix"
	}
	conn, err := (&remote{network: network, address: c.address, tls: c.name == "tls"}).dialWithin(within)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(within))
	enough := make(chan struct{})
	stop := sync.OnceFunc(func() { close(enough) })
	sent := make(chan int, 1)
	go func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		n := 0
		defer func() { sent <- n }()
		for i := 0; ; i++ {
			// A large block, now and then, goes out of the server in parts.
			size := 1
			if i%50 == 0 {
				size = much
			}
			block := make([]byte, size)
			for i := range block {
				block[i] = byte(n + i)
			}
			if _, err := conn.Write(block); err != nil {
				return
			}
			n += size
			select {
			case <-enough:
				conn.(interface{ CloseWrite() error }).CloseWrite()
				return
			case <-ticker.C:
			}
		}
	}()
	got := 0
	block := make([]byte, 4<<10)
	for {
		n, err := conn.Read(block)
		for _, b := range block[:n] {
			if b != byte(got) {
				c.t.Errorf("%s: byte %d is %d", c.name, got, b)
				return nil
			}
			got++
		}
		if got >= 3*much {
			stop()
		}
		if err == nil {
			continue
		}
		conn.Close()
		stop()
		n = <-sent
		if err == io.EOF && n == got {
			return nil
		}
		return fmt.Errorf("of %d bytes %d came back: %w", n, got, err)
	}
}

// datagrams sends numbers until the wanted number has come back, each at
// most once and in order.
func (c conversation) datagrams(within time.Duration) error {
	conn, err := net.Dial("udp", c.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	var sent, last uint64
	began := time.Now()
	m := make([]byte, 100)
	for got := 0; got < wanted; {
		sent++
		if _, err := conn.Write(binary.BigEndian.AppendUint64(nil, sent)); err != nil {
			return err
		}
		conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		n, err := conn.Read(m)
		if err != nil {
			if time.Since(began) > within {
				return fmt.Errorf("of %d datagrams %d came back: %w", sent, got, err)
			}
			continue
		}
		number := binary.BigEndian.Uint64(m)
		if n != 8 || number <= last || number > sent {
			c.t.Errorf("udp: %d bytes, number %d after %d of %d", n, number, last, sent)
			return nil
		}
		last = number
		got++
	}
	return nil
}
