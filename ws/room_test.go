package ws

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// TestAllMembersOfARoomSeeOneOrderUnderFourPublishers has a room of tcp lines,
// tls lines, udp, WebSockets of text and compressed ones, over real sockets. In
// the middle, a member with yet another framing joins.
func TestAllMembersOfARoomSeeOneOrderUnderFourPublishers(t *testing.T) {
	r := newMixedRoom(t)
	members := []*roomMember{
		r.lines(t, false), r.lines(t, true), r.udp(t), r.browser(t, &Options{Text: true}),
		r.browser(t, &Options{Text: true, Compression: &Compression{Threshold: 20}}), r.lines(t, false),
	}
	skipped := make(map[string]*roomMember) // the member that sent a message, which does not get it
	var mu sync.Mutex
	publish := func(publisher, from, to int) {
		random := rand.New(rand.NewPCG(uint64(publisher), uint64(from)))
		for seq := from; seq < to; {
			m := roomMessage(publisher, seq)
			var except *roomMember
			switch random.IntN(4) {
			case 0:
				except = members[1+random.IntN(len(members)-1)] // the first sees all
				mu.Lock()
				skipped[m] = except
				mu.Unlock()
				require.NoError(t, r.hub.MulticastExcept([]byte(m), except.server))
				seq++
			case 1:
				b := chanio.NewBatch()
				for n := min(3, to-seq); n > 0; n-- {
					b.Append([]byte(roomMessage(publisher, seq)))
					seq++
				}
				require.NoError(t, r.hub.MulticastBatch(b))
				b.Release()
			default:
				require.NoError(t, r.hub.Multicast([]byte(m)))
				seq++
			}
			if udp := members[2]; except != udp {
				udp.await(m) // so that what is in flight fits into its socket
			}
		}
	}
	const half = 150
	together := func(from, to int) {
		var publishers sync.WaitGroup
		for i := range 4 {
			publishers.Go(func() { publish(i, from, to) })
		}
		publishers.Wait()
	}
	together(0, half)
	var late *roomMember
	joining := make(chan struct{})
	go func() {
		defer close(joining)
		late = r.prefixed(t) // while the publishers run
	}()
	together(half, 2*half)
	<-joining
	members = append(members, late)
	require.NoError(t, r.hub.Multicast([]byte("end")))

	order := members[0].heard(t)
	require.Len(t, order, 4*2*half)
	requireRuns(t, order)
	for _, m := range members[1 : len(members)-1] {
		var want []string
		for _, p := range order {
			if skipped[p] != m {
				want = append(want, p)
			}
		}
		require.Equal(t, want, m.heard(t), m.name)
	}
	got := late.heard(t)
	require.Equal(t, order[len(order)-len(got):], got, "a late member gets everything published after it joined")
	require.Zero(t, r.hub.Stats().MessagesDropped)
}

func roomMessage(publisher, seq int) string {
	return fmt.Sprintf("%d %d ", publisher, seq) + strings.Repeat("and so on ", seq%50)
}

// requireRuns requires that each publisher's messages are in its own order.
func requireRuns(t *testing.T, order []string) {
	t.Helper()
	next := make([]int, 4)
	for _, p := range order {
		var publisher, seq int
		_, err := fmt.Sscan(p, &publisher, &seq)
		require.NoError(t, err)
		require.Equal(t, next[publisher], seq, "of publisher %d", publisher)
		next[publisher]++
	}
}

// A mixedRoom is one hub and servers of all kinds.
type mixedRoom struct {
	hub      *chanio.Hub
	tcp, tls *chanio.Listener
	peers    *chanio.Listener
	prefix   *chanio.Listener
	roots    *tls.Config
}

// A roomMember is a session of the server, and what its client has received.
type roomMember struct {
	name   string
	server *chanio.Session
	ended  chan struct{} // closed when "end" has arrived

	mu   sync.Mutex
	more sync.Cond // on mu: something has arrived
	all  []string
}

func newRoomMember(t *testing.T, name string, server, client *chanio.Session) *roomMember {
	m := &roomMember{name: name, server: server, ended: make(chan struct{})}
	m.more.L = &m.mu
	var collector sync.WaitGroup
	collector.Go(func() { m.collect(client) })
	t.Cleanup(func() {
		client.Abort(nil)
		collector.Wait()
	})
	return m
}

// collect records the messages that arrive until the session ends.
func (m *roomMember) collect(client *chanio.Session) {
	for p := range client.Recv() {
		if string(p) == "end" {
			close(m.ended)
			continue
		}
		m.mu.Lock()
		m.all = append(m.all, string(p))
		m.more.Broadcast()
		m.mu.Unlock()
	}
}

// await waits until p has arrived.
func (m *roomMember) await(p string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for !slices.Contains(m.all, p) {
		m.more.Wait()
	}
}

func newMixedRoom(t *testing.T) *mixedRoom {
	o := chanio.Options{Lag: chanio.LagBlock, ManualJoin: true}
	lines := o
	lines.Framing = chanio.Lines{}
	secret, prefix := lines, o
	prefix.Framing = chanio.LengthPrefix{Size: 2}
	var err error
	secret.TLS, err = chanio.ServerTLS("../testdata/server.crt", "../testdata/server.key")
	require.NoError(t, err)
	r := &mixedRoom{hub: chanio.NewHub(t.Context(), &o)}
	listen := func(network string, o *chanio.Options) *chanio.Listener {
		l, err := chanio.Listen(context.Background(), network, "127.0.0.1:0", o)
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
		return l
	}
	r.tcp, r.tls, r.peers, r.prefix = listen("tcp", &lines), listen("tcp", &secret), listen("udp", nil), listen("tcp", &prefix)
	r.roots, err = chanio.ClientTLS("../testdata/ca.crt")
	require.NoError(t, err)
	r.roots.ServerName = "localhost"
	return r
}

// join makes the newest session of l a member.
func (r *mixedRoom) join(t *testing.T, name string, l *chanio.Listener, client *chanio.Session) *roomMember {
	server := <-l.Sessions()
	m := newRoomMember(t, name, server, client)
	require.NoError(t, r.hub.Join(server))
	return m
}

func (r *mixedRoom) dial(t *testing.T, l *chanio.Listener, o *chanio.Options) *chanio.Session {
	s, err := chanio.Dial(context.Background(), l.Addr().Network(), l.Addr().String(), o)
	require.NoError(t, err)
	return s
}

func (r *mixedRoom) lines(t *testing.T, secret bool) *roomMember {
	o := &chanio.Options{Framing: chanio.Lines{}}
	if secret {
		o.TLS = r.roots
		return r.join(t, "tls", r.tls, r.dial(t, r.tls, o))
	}
	return r.join(t, "tcp", r.tcp, r.dial(t, r.tcp, o))
}

func (r *mixedRoom) prefixed(t *testing.T) *roomMember {
	return r.join(t, "late", r.prefix, r.dial(t, r.prefix, &chanio.Options{Framing: chanio.LengthPrefix{Size: 2}}))
}

func (r *mixedRoom) udp(t *testing.T) *roomMember {
	s := r.dial(t, r.peers, nil)
	require.NoError(t, s.Put([]byte("here")))
	return r.join(t, "udp", r.peers, s)
}

func (r *mixedRoom) browser(t *testing.T, o *Options) *roomMember {
	deflate := o.Compression != nil
	server := *o
	server.Chanio = &chanio.Options{ManualJoin: true}
	sessions := make(chan *chanio.Session, 1)
	_, url := serve(t, &server, func(s *chanio.Session) {
		sessions <- s
		<-s.Done()
	})
	s, err := Dial(context.Background(), url, o)
	require.NoError(t, err)
	m := newRoomMember(t, fmt.Sprintf("ws, compressed %v", deflate), <-sessions, s)
	require.NoError(t, r.hub.Join(m.server))
	return m
}

// heard returns the messages that arrived before "end".
func (m *roomMember) heard(t *testing.T) []string {
	t.Helper()
	select {
	case <-m.ended:
	case <-time.After(patience):
		t.Fatalf("%s: only %d messages arrived", m.name, len(m.all))
	}
	return m.all
}
