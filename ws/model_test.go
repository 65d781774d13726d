package ws

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// TestHubsOfAllFramingsDoWhatAPlainModelDoes performs random operations, one at a
// time, on hubs of all policies, whose members are lines, lines over TLS,
// length prefixes, and WebSockets of text and with compression, and on a plain
// model of what each peer must get.
func TestHubsOfAllFramingsDoWhatAPlainModelDoes(t *testing.T) {
	seeds, steps := 30, 300
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModel(t, uint64(seed))
				for range steps {
					m.step()
				}
				m.finish()
			})
		})
	}
}

var policies = []chanio.LagPolicy{chanio.LagDisconnect, chanio.LagDrop, chanio.LagBlock}

type model struct {
	t    *testing.T
	rand *rand.Rand
	hubs []*modelHub
	live []*modelMember
	all  []*modelMember
}

type modelHub struct {
	*chanio.Hub
	lag    chanio.LagPolicy
	seq    int
	lagged map[*chanio.Session]int // skipped messages, as the events report
	events chan struct{}           // closed after the last event
}

// A modelMember is a session and its peer.
type modelMember struct {
	*chanio.Session
	kind string
	got  <-chan []string
	own  int                    // messages put
	in   map[*modelHub]bool     // its memberships
	want map[*modelHub][]string // what it must get
	cut  bool                   // it was ended before it had everything
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{t: t, rand: rand.New(rand.NewPCG(seed, 1))}
	for i := range policies {
		m.addHub(policies[i])
	}
	for range 5 {
		m.addMember()
	}
	return m
}

func (m *model) addHub(lag chanio.LagPolicy) {
	h := &modelHub{lag: lag, lagged: make(map[*chanio.Session]int), events: make(chan struct{})}
	h.Hub = chanio.NewHub(m.t.Context(), &chanio.Options{Lag: lag, MaxLag: 2000 + m.rand.IntN(10_000), EventQueue: 10_000})
	events := h.Events()
	go func() {
		defer close(h.events)
		for e := range events {
			if e.Kind == chanio.EventLagged {
				h.lagged[e.Session] += e.Count
			}
		}
	}()
	m.hubs = append(m.hubs, h)
}

func (m *model) addMember() {
	kind := memberKinds[m.rand.IntN(len(memberKinds))]
	near, far := net.Pipe()
	s := &modelMember{kind: kind.name, in: make(map[*modelHub]bool), want: make(map[*modelHub][]string)}
	s.Session = kind.session(m.t, near)
	got := make(chan []string, 1)
	s.got = got
	paced := &pacedConn{Conn: far, rand: rand.New(rand.NewPCG(m.rand.Uint64(), 2))}
	go func() {
		all, err := kind.read(paced)
		far.Close()
		if err != nil {
			all = append(all, "error: "+err.Error())
		}
		got <- all
	}()
	m.live, m.all = append(m.live, s), append(m.all, s)
	time.Sleep(time.Second) // TLS has shaken hands: a Close before would not
}

// A pacedConn is read in random pieces, at a random pace.
type pacedConn struct {
	net.Conn
	rand *rand.Rand
}

func (c *pacedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), 1+c.rand.IntN(4000))])
	time.Sleep(time.Duration(c.rand.IntN(20)) * time.Millisecond)
	return n, err
}

// step does one random operation.
func (m *model) step() {
	m.reap()
	h, s := m.hubs[m.rand.IntN(len(m.hubs))], m.live[m.rand.IntN(len(m.live))]
	switch n := m.rand.IntN(100); {
	case n < 35:
		p := m.message(h)
		require.NoError(m.t, h.Multicast([]byte(p)))
		m.published(h, nil, p)
	case n < 45:
		p := m.message(h)
		require.NoError(m.t, h.MulticastExcept([]byte(p), s.Session))
		m.published(h, s, p)
	case n < 52:
		m.publishBatch(h)
	case n < 67:
		require.NoError(m.t, h.Join(s.Session))
		s.in[h] = true
	case n < 75:
		h.Leave(s.Session)
		delete(s.in, h)
	case n < 83:
		if s.Put([]byte(m.padded("own", s.own))) == nil {
			s.own++
		}
	case n < 90:
		time.Sleep(time.Duration(m.rand.IntN(30)) * time.Millisecond)
	case n < 93:
		require.NoError(m.t, h.Flush(m.t.Context()))
	case n < 97:
		m.addMember()
	default:
		m.end(s)
	}
}

// padded returns a message from a sender that all framings can carry.
func (m *model) padded(sender string, seq int) string {
	return fmt.Sprintf("%s %d ", sender, seq) + strings.Repeat("κ.", m.rand.IntN(300))
}

func (m *model) message(h *modelHub) string {
	p := m.padded("hub"+h.lag.String(), h.seq)
	h.seq++
	return p
}

func (m *model) publishBatch(h *modelHub) {
	b := chanio.NewBatch()
	defer b.Release()
	var all []string
	for range 1 + m.rand.IntN(4) {
		all = append(all, m.message(h))
		b.Append([]byte(all[len(all)-1]))
	}
	require.NoError(m.t, h.MulticastBatch(b))
	m.published(h, nil, all...)
}

// published notes which members must get messages.
func (m *model) published(h *modelHub, except *modelMember, messages ...string) {
	for _, s := range m.live {
		if s.in[h] && s != except {
			s.want[h] = append(s.want[h], messages...)
		}
	}
}

// end ends s in a random way.
func (m *model) end(s *modelMember) {
	if m.rand.IntN(3) == 0 {
		s.Abort(nil)
		s.cut = true
	} else {
		go s.Close()
		synctest.Wait() // by now it has refused membership
	}
	m.forget(s)
}

func (m *model) forget(s *modelMember) {
	m.live = slices.DeleteFunc(m.live, func(other *modelMember) bool { return other == s })
	if len(m.live) == 0 {
		m.addMember()
	}
}

// reap forgets the sessions that LagDisconnect has ended.
func (m *model) reap() {
	synctest.Wait()
	for _, s := range slices.Clone(m.live) {
		if s.Err() != nil {
			require.ErrorIs(m.t, s.Err(), chanio.ErrLagged)
			s.cut = true
			m.forget(s)
		}
	}
}

// finish closes everything that runs, and compares what the peers got with the
// model.
func (m *model) finish() {
	for _, s := range m.all {
		go s.Close()
	}
	for _, s := range m.all {
		<-s.Done()
		s.cut = s.cut || s.Err() != nil
	}
	for _, h := range m.hubs {
		require.NoError(m.t, h.Close())
		<-h.events
		st := h.Stats()
		require.Zero(m.t, st.BytesPending)
		require.Zero(m.t, st.EventsDropped)
	}
	for i, s := range m.all {
		m.check(fmt.Sprintf("%s %d", s.kind, i), s)
	}
}

// check compares what the peer of s got with what it should have got.
func (m *model) check(name string, s *modelMember) {
	t := m.t
	got := make(map[string][]string) // by sender
	for _, p := range <-s.got {
		sender, _, _ := strings.Cut(p, " ")
		if sender == "error:" {
			require.True(t, s.cut, "%s: %s", name, p)
			continue
		}
		got[sender] = append(got[sender], p)
	}
	for h, want := range s.want {
		key := "hub" + h.lag.String()
		missing := missingOf(t, want, got[key])
		switch {
		case !s.cut && h.lag == chanio.LagDrop:
			require.Equal(t, h.lagged[s.Session], missing, "%s: skipped messages", name)
		case !s.cut:
			require.Zero(t, missing, "%s: of %s", name, key)
		case h.lag != chanio.LagDrop:
			require.True(t, slices.Equal(want[:len(got[key])], got[key]), "%s: a gap in %s", name, key)
		}
		delete(got, key)
	}
	for i, p := range got["own"] {
		require.True(t, strings.HasPrefix(p, fmt.Sprintf("own %d ", i)), "%s: its own messages", name)
	}
	if !s.cut {
		require.Len(t, got["own"], s.own, name)
	}
	delete(got, "own")
	require.Empty(t, got, "%s: from hubs that it was not in", name)
}

// missingOf returns how many elements of want got lacks. All of got must be in
// want, in that order.
func missingOf(t *testing.T, want, got []string) (missing int) {
	t.Helper()
	for _, p := range want {
		if len(got) > 0 && got[0] == p {
			got = got[1:]
			continue
		}
		missing++
	}
	require.Empty(t, got, "messages that it must not get, or not in that order")
	return missing
}

// A memberKind is one kind of member of a room: how its session is made, and
// how its peer reads messages until the end.
type memberKind struct {
	name    string
	session func(t *testing.T, conn net.Conn) *chanio.Session
	read    func(conn net.Conn) ([]string, error)
}

var memberKinds = []memberKind{
	{"lines", framed(chanio.Lines{}), readLines},
	{"lines over tls", secretLines, readSecretLines},
	{"length prefix", framed(chanio.LengthPrefix{Size: 4}), readPrefixed},
	{"ws text", framed(framing{text: true}), readFrames},
	{"ws binary", framed(framing{}), readFrames},
	{"ws compressed", framed(framing{text: true, deflate: true, threshold: 100}), readFrames},
}

func framed(f chanio.Framing) func(*testing.T, net.Conn) *chanio.Session {
	return func(t *testing.T, conn net.Conn) *chanio.Session {
		return chanio.NewSession(t.Context(), conn, &chanio.Options{Framing: f})
	}
}

func secretLines(t *testing.T, conn net.Conn) *chanio.Session {
	config, err := chanio.ServerTLS("../testdata/server.crt", "../testdata/server.key")
	require.NoError(t, err)
	return framed(chanio.Lines{})(t, tls.Server(conn, config))
}

func readLines(conn net.Conn) (all []string, err error) {
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		if err == io.EOF && line == "" {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, strings.TrimSuffix(line, "\n"))
	}
}

func readSecretLines(conn net.Conn) ([]string, error) {
	return readLines(tls.Client(conn, &tls.Config{InsecureSkipVerify: true}))
}

func readPrefixed(conn net.Conn) (all []string, err error) {
	var header [4]byte
	for r := bufio.NewReader(conn); ; {
		if _, err := io.ReadFull(r, header[:]); err == io.EOF {
			return all, nil
		} else if err != nil {
			return all, err
		}
		p := make([]byte, int(header[2])<<8|int(header[3]))
		if _, err := io.ReadFull(r, p); err != nil {
			return all, err
		}
		all = append(all, string(p))
	}
}

// readFrames reads messages until a close with 1000, and the end after it.
func readFrames(conn net.Conn) (all []string, err error) {
	for r := bufio.NewReader(conn); ; {
		f, err := readFrame(r)
		if err != nil {
			return all, err
		}
		p := f.Payload
		if f.Header.OpCode == ws.OpClose {
			if code, reason := ws.ParseCloseFrameData(p); code != ws.StatusNormalClosure {
				return all, fmt.Errorf("closed with %d %s", code, reason)
			}
			if _, err := r.ReadByte(); err != io.EOF {
				return all, errors.New("something follows the close")
			}
			return all, nil
		}
		if f.Header.Rsv1() {
			if p, err = inflate(p, 1<<20); err != nil {
				return all, err
			}
		}
		all = append(all, string(p))
	}
}
