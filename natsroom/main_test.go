package natsroom_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/chanio"
	"example.com/chanio/natsroom"
	"example.com/chanio/natsroom/embedded"
)

// A server or node that a test kills or stops has a process of its own: the
// test binary again, in the role that this variable names.
const roleVariable = "NATSROOM_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "server":
		serverProcess()
	case "node":
		nodeProcess()
	default:
		goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.init.0.func1"))
	}
}

// patience is how long a test waits for something that must come.
const patience = 30 * time.Second

// A process is the test binary in another role. It ends with its standard input.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

// spawn starts a process, passes config to it, and waits for its first line.
func spawn(t testing.TB, role string, config any) (p *process, first string) {
	t.Helper()
	p = &process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), roleVariable+"="+role)
	p.cmd.Stderr = os.Stderr
	var err error
	p.in, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.lines = bufio.NewScanner(out)
	p.lines.Buffer(nil, 64<<20)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.kill)
	p.tell(t, config)
	return p, p.line(t)
}

// tell sends v to the process, as a line.
func (p *process) tell(t testing.TB, v any) {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	_, err = p.in.Write(append(b, '\n'))
	require.NoError(t, err)
}

// line returns the next line that the process prints.
func (p *process) line(t testing.TB) string {
	t.Helper()
	require.True(t, p.lines.Scan(), "the process has ended: %v", p.lines.Err())
	return p.lines.Text()
}

// kill is kill -9.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// A serverConfig is what a server's process is told. (Most of server.Options does
// not go through JSON.)
type serverConfig struct {
	Dir           string        // of JetStream, of this server alone
	WriteDeadline time.Duration // after which a client that does not read is dropped; 0 is the server's default
	Name          string
	Cluster       string // empty: it is alone
	ClusterURL    string
	Routes        []string
}

func (c *serverConfig) options() (*server.Options, error) {
	o := &server.Options{
		ServerName: c.Name, Host: "127.0.0.1", Port: -1,
		JetStream: true, StoreDir: c.Dir, WriteDeadline: c.WriteDeadline,
		NoSigs: true, NoLog: true, NoFastProducerStall: true,
	}
	if c.Dir == "" {
		return nil, errors.New("a server without a directory of its own")
	}
	if c.Cluster == "" {
		return o, nil
	}
	at, err := url.Parse(c.ClusterURL)
	if err != nil {
		return nil, err
	}
	o.Cluster = server.ClusterOpts{Name: c.Cluster, Host: at.Hostname()}
	if o.Cluster.Port, err = strconv.Atoi(at.Port()); err != nil {
		return nil, err
	}
	o.Routes = server.RoutesFromStr(strings.Join(c.Routes, ","))
	return o, nil
}

// serverProcess runs a NATS server. It is the role of a process.
func serverProcess() {
	in := bufio.NewScanner(os.Stdin)
	in.Scan()
	var c serverConfig
	if err := json.Unmarshal(in.Bytes(), &c); err != nil {
		fatal(err)
	}
	o, err := c.options()
	if err != nil {
		fatal(err)
	}
	s, err := server.NewServer(o)
	if err != nil {
		fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		fatal(errors.New("the server is not ready"))
	}
	fmt.Println(s.ClientURL())
	for in.Scan() {
	}
	s.Shutdown()
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// freeAddr returns a loopback address that is not in use.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// testServer returns a server in this process, with JetStream.
func testServer(t testing.TB) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(context.Background(), &embedded.Options{Addr: "127.0.0.1:0", Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// connect connects as a patient node would.
func connect(t testing.TB, url string, o ...nats.Option) *nats.Conn {
	t.Helper()
	o = append([]nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2), nats.Timeout(5 * time.Second),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}, o...)
	nc, err := nats.Connect(url, o...)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// A place is a node of a room in this process.
type place struct {
	hub  *chanio.Hub
	room *natsroom.Room
}

// join joins a room.
func join(t testing.TB, nc *nats.Conn, name string, o *natsroom.Options, ho *chanio.Options) place {
	t.Helper()
	hub := chanio.NewHub(context.Background(), ho)
	room, err := natsroom.Join(context.Background(), nc, name, hub, o)
	require.NoError(t, err)
	t.Cleanup(func() { room.Close(); hub.Close() })
	return place{hub, room}
}

// A listener is a member's peer: it keeps what it hears, line by line.
type listener struct {
	s     *chanio.Session
	conn  net.Conn
	lines chan string
}

// listen makes a session that is in no hub yet.
func listen(t testing.TB, o *chanio.Options) *listener {
	t.Helper()
	conn, peer := net.Pipe()
	l := &listener{chanio.NewSession(context.Background(), conn, o), peer, make(chan string, 1<<16)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.read()
	}()
	t.Cleanup(func() { l.s.Abort(nil); peer.Close(); <-l.s.Done(); <-ended })
	return l
}

// read reads until the session ends.
func (l *listener) read() {
	in := bufio.NewScanner(l.conn)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		l.lines <- in.Text()
	}
	close(l.lines)
}

// members makes n members of the place, which get everything published from now
// on.
func (p place) members(t testing.TB, n int) (all []*listener) {
	t.Helper()
	for range n {
		l := listen(t, nil)
		require.NoError(t, p.hub.Join(l.s))
		all = append(all, l)
	}
	p.flush(t)
	return all
}

func (p place) flush(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, p.room.Flush(ctx))
}

func (p place) publish(t testing.TB, line string) {
	t.Helper()
	require.NoError(t, p.room.Publish([]byte(line+"\n")))
}

// hears fails unless lines are the next lines.
func (l *listener) hears(t testing.TB, lines ...string) {
	t.Helper()
	for _, want := range lines {
		select {
		case got, ok := <-l.lines:
			require.True(t, ok, "the session ended before %q: %v", want, l.s.Err())
			require.Equal(t, want, got)
		case <-time.After(patience):
			require.Fail(t, "nothing was heard", "instead of %q", want)
		}
	}
}

// eventually waits until ok returns true.
func eventually(t testing.TB, within time.Duration, ok func() bool, why string, args ...any) {
	t.Helper()
	require.Eventually(t, ok, within, 5*time.Millisecond, append([]any{why}, args...)...)
}

// beats counts the heartbeats of nodes, as another client of their server sees
// them.
type beats struct {
	mu   sync.Mutex
	last map[string]time.Time
	seen map[string]int
}

func watchBeats(t testing.TB, url string) *beats {
	t.Helper()
	b := &beats{last: make(map[string]time.Time), seen: make(map[string]int)}
	nc := connect(t, url, nats.IgnoreDiscoveredServers()) // of which another test may have one
	_, err := nc.Subscribe("chanio.nodes", func(m *nats.Msg) { b.hear(m.Data) })
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	return b
}

func (b *beats) hear(message []byte) {
	node, err := natsroom.PresenceOf(message)
	if err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	// What is sent in between, or arrives late with the next one, is no heartbeat.
	if now := time.Now(); now.Sub(b.last[node]) >= natsroom.Heartbeat*9/10 {
		b.last[node] = now
		b.seen[node]++
	}
}

// passed returns how many nodes have had n more heartbeats than before.
func (b *beats) passed(n int, before map[string]int) (nodes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for node, seen := range b.seen {
		if seen-before[node] >= n {
			nodes++
		}
	}
	return nodes
}

// await waits until room counts members, which must be within 5 seconds. On a
// machine that leaves nodes no time, it may take 5 heartbeats of each of them.
func (b *beats) await(t testing.TB, nodes int, room *natsroom.Room, members int) {
	t.Helper()
	const within = 5
	b.mu.Lock()
	before := maps.Clone(b.seen)
	b.mu.Unlock()
	for began := time.Now(); ; <-time.After(5 * time.Millisecond) {
		late := time.Since(began) >= within*time.Second && b.passed(within, before) >= nodes
		got := room.Members()
		if got == members {
			return
		}
		if late || time.Since(began) >= 2*patience {
			require.FailNow(t, "wrong number of members", "%d, not %d, after %v", got, members, time.Since(began))
		}
	}
}

var historyOptions = &natsroom.Options{History: &natsroom.History{}}
