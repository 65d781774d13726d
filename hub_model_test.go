package chanio_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

// TestHubsDoWhatAPlainModelDoes does random operations, one at a time, on hubs
// of all policies and on sessions whose peers read at random paces, and on a
// plain model of what each peer must get.
func TestHubsDoWhatAPlainModelDoes(t *testing.T) {
	seeds, steps := 100, 400
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newHubModel(t, uint64(seed))
				for range steps {
					m.step()
				}
				m.finish()
			})
		})
	}
}

// own is the sender of the messages that a session gets by Put.
const own = 99

type hubModel struct {
	t        *testing.T
	rand     *rand.Rand
	hubs     []*modelHub
	sessions []*modelSession // those that run
	all      []*modelSession
	o        chanio.Options
}

type modelHub struct {
	*chanio.Hub
	id, seq int
	events  <-chan chanio.Event
	lagged  map[*chanio.Session]int // skipped messages, as the events report
	closed  bool
}

type modelSession struct {
	*chanio.Session
	peer *chaniotest.Conn
	got  <-chan []byte
	own  int                            // messages put
	in   map[*modelHub]bool             // its memberships
	want map[*modelHub][]int            // what it must get
	ways map[*modelHub]chanio.LagPolicy // all hubs that it has ever been in
	cut  bool                           // it was ended before it had everything
}

func newHubModel(t *testing.T, seed uint64) *hubModel {
	m := &hubModel{t: t, rand: rand.New(rand.NewPCG(seed, 1))}
	m.o = queues[m.rand.IntN(len(queues))].o
	for range 3 {
		m.addHub()
	}
	for range 3 {
		m.addSession()
	}
	return m
}

func (m *hubModel) addHub() {
	o := m.o
	o.Lag, o.MaxLag, o.EventQueue = lagPolicies[m.rand.IntN(3)], 2000+m.rand.IntN(10_000), 10_000
	h := &modelHub{Hub: testHub(m.t, &o), id: len(m.hubs), lagged: make(map[*chanio.Session]int)}
	h.events = h.Events()
	m.hubs = append(m.hubs, h)
}

func (m *hubModel) addSession() {
	s := &modelSession{in: make(map[*modelHub]bool), want: make(map[*modelHub][]int), ways: make(map[*modelHub]chanio.LagPolicy)}
	s.Session, s.peer = memSession(m.t, &m.o)
	got := make(chan []byte, 1)
	s.got = got
	seed := m.rand.Uint64()
	go func() {
		pace := rand.New(rand.NewPCG(seed, 2))
		var all []byte
		for {
			buf := make([]byte, 1+pace.IntN(4000))
			n, err := s.peer.Read(buf)
			all = append(all, buf[:n]...)
			if err != nil {
				s.peer.CloseWrite()
				got <- all
				return
			}
			time.Sleep(time.Duration(pace.IntN(20)) * time.Millisecond)
		}
	}()
	m.sessions = append(m.sessions, s)
	m.all = append(m.all, s)
}

// pick returns a random element of list.
func pick[T any](m *hubModel, list []T) T { return list[m.rand.IntN(len(list))] }

// step does one random operation.
func (m *hubModel) step() {
	m.reap()
	h, s := pick(m, m.hubs), pick(m, m.sessions)
	switch n := m.rand.IntN(100); {
	case n < 50:
		m.publish(h)
	case n < 65:
		m.join(h, s)
	case n < 75:
		h.Leave(s.Session)
		delete(s.in, h)
	case n < 85:
		if s.Put(tagged(own, s.own, m.rand.IntN(500))) == nil {
			s.own++
		}
	case n < 90:
		time.Sleep(time.Duration(m.rand.IntN(30)) * time.Millisecond)
	case n < 93:
		synctest.Wait()
	case n < 95:
		if !h.closed {
			require.NoError(m.t, h.Flush(m.t.Context()))
		}
	case n < 96:
		require.NoError(m.t, h.Close())
		m.left(h)
		h.closed = true
		m.addHub()
	case n < 97:
		m.addSession()
	default:
		m.end(s)
	}
}

func (m *hubModel) publish(h *modelHub) {
	err := h.Multicast(tagged(h.id, h.seq, m.rand.IntN(800)))
	if h.closed {
		require.ErrorIs(m.t, err, chanio.ErrClosed)
		return
	}
	require.NoError(m.t, err)
	for _, s := range m.sessions {
		if s.in[h] {
			s.want[h] = append(s.want[h], h.seq)
		}
	}
	h.seq++
}

func (m *hubModel) join(h *modelHub, s *modelSession) {
	if err := h.Join(s.Session); err != nil {
		require.ErrorIs(m.t, err, chanio.ErrClosed)
		return
	}
	require.False(m.t, h.closed)
	s.in[h] = true
	s.ways[h] = h.Hub.Policy()
}

// left notes that h has no members.
func (m *hubModel) left(h *modelHub) {
	for _, s := range m.sessions {
		delete(s.in, h)
	}
}

// end ends s in a random way.
func (m *hubModel) end(s *modelSession) {
	switch m.rand.IntN(5) {
	case 0:
		s.Abort(nil)
		s.cut = true
	case 1:
		s.peer.Close()
		s.cut = true
	case 2:
		go s.Close()
		synctest.Wait() // it has refused to be a member since
	default:
		require.NoError(m.t, s.CloseWrite())
	}
	clear(s.in)
	m.forget(s)
}

// reap forgets the sessions that LagDisconnect has ended.
func (m *hubModel) reap() {
	synctest.Wait() // a session ends on a goroutine of its own
	for _, s := range slices.Clone(m.sessions) {
		if s.Err() == nil {
			continue
		}
		disconnects := false
		for _, lag := range s.ways {
			disconnects = disconnects || lag == chanio.LagDisconnect
		}
		require.True(m.t, disconnects)
		require.ErrorIs(m.t, s.Err(), chanio.ErrLagged)
		s.cut = true
		m.forget(s)
	}
}

func (m *hubModel) forget(s *modelSession) {
	m.sessions = slices.DeleteFunc(m.sessions, func(other *modelSession) bool { return other == s })
	if len(m.sessions) == 0 {
		m.addSession()
	}
}

// finish closes everything that runs, and compares what the peers got with the
// model.
func (m *hubModel) finish() {
	for _, s := range m.sessions {
		require.NoError(m.t, s.CloseWrite())
	}
	for _, s := range m.all {
		<-s.Done()
		s.cut = s.cut || s.Err() != nil
	}
	for _, h := range m.hubs {
		require.NoError(m.t, h.Close())
		h.count(m.t)
		st := h.Stats()
		require.Zero(m.t, st.BytesPending)
		require.Zero(m.t, st.Sessions)
		require.Zero(m.t, st.EventsDropped)
		require.False(m.t, h.HasOtherFeeds())
		require.False(m.t, h.Holds())
	}
	for i, s := range m.all {
		m.check(fmt.Sprintf("session %d", i), s)
	}
}

// count adds up what h's events report, which must be in the order of what
// happened.
func (h *modelHub) count(t *testing.T) {
	in := make(map[*chanio.Session]bool)
	var last chanio.Event
	for e := range h.events {
		switch e.Kind {
		case chanio.EventJoined:
			require.False(t, in[e.Session], "joined twice")
			in[e.Session] = true
		case chanio.EventLeft:
			require.True(t, in[e.Session], "left without having joined")
			in[e.Session] = false
		case chanio.EventLagged:
			if e.Err != nil {
				require.ErrorIs(t, e.Err, chanio.ErrLagged)
			}
			h.lagged[e.Session] += e.Count
		}
		require.False(t, e.Time.Before(last.Time))
		last = e
	}
	require.Equal(t, chanio.EventStopped, last.Kind)
	for s, in := range in {
		require.False(t, in, "%v has not left", s.ID())
	}
}

// check compares what the peer of s got with what it should have got.
func (m *hubModel) check(name string, s *modelSession) {
	t := m.t
	got, rest := whole(t, <-s.got)
	if !s.cut {
		require.Zero(t, rest, "%s: half a message", name)
	}
	for h, want := range s.want {
		seqs := got[h.id]
		require.True(t, slices.IsSorted(seqs), "%s", name)
		missing := missingOf(t, want, seqs)
		switch {
		case s.cut:
		case s.ways[h] == chanio.LagDrop:
			require.Equal(t, h.lagged[s.Session], len(missing), "%s: what hub %d skipped", name, h.id)
		default:
			require.Empty(t, missing, "%s: of hub %d", name, h.id)
		}
		if s.cut && s.ways[h] != chanio.LagDrop && len(missing) > 0 {
			require.True(t, slices.Equal(want[:len(seqs)], seqs), "%s: a gap in hub %d's", name, h.id)
		}
		delete(got, h.id)
	}
	for seq, n := range got[own] {
		require.Equal(t, seq, n, "%s: its own messages", name)
	}
	if !s.cut {
		require.Len(t, got[own], s.own, name)
	}
	delete(got, own)
	require.Empty(t, got, "%s: from hubs that it was not in", name)
}

// missingOf returns the elements of want that got lacks. All of got must be in
// want.
func missingOf(t *testing.T, want, got []int) (missing []int) {
	t.Helper()
	for _, seq := range want {
		if len(got) > 0 && got[0] == seq {
			got = got[1:]
			continue
		}
		missing = append(missing, seq)
	}
	require.Empty(t, got, "messages that it was not to get, or not in that order")
	return missing
}

// whole parses a stream of tagged messages. It returns the numbers of each
// sender's messages, and how many bytes of an incomplete message are left.
func whole(t *testing.T, stream []byte) (seqs map[int][]int, rest int) {
	t.Helper()
	seqs = make(map[int][]int)
	for len(stream) >= 12 {
		id, seq := int(binary.BigEndian.Uint32(stream)), int(binary.BigEndian.Uint32(stream[4:]))
		n := 12 + int(binary.BigEndian.Uint32(stream[8:]))
		if len(stream) < n {
			break
		}
		require.True(t, bytes.Equal(tagged(id, seq, n-12), stream[:n]), "message %d of %d is damaged", seq, id)
		seqs[id] = append(seqs[id], seq)
		stream = stream[n:]
	}
	return seqs, len(stream)
}
