//go:build unix

package soak

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

const (
	hubMembers  = 10
	hubMessages = 400 // about: batches are not cut

	hasLeft = 1 << 39
	never   = 1 << 40
)

// A hubMember is a member of a hub under faults: the session that joined, and
// the one at the other end, which receives.
type hubMember struct {
	role
	s, client *chanio.Session
	wire      net.Conn
	leaveAt   int64 // the first message that it must not get; plus hasLeft once it has left
	planned   bool  // it ended by plan

	got      []int64
	gotBytes int64
	wrong    string
}

// A hubFault is a hub under faults. Its one publisher knows exactly when
// each member joined and left.
type hubFault struct {
	place
	lag       chanio.LagPolicy
	hub       *chanio.Hub
	l         *chanio.Listener
	members   []*hubMember
	published int64
	ends      []int64 // the bytes of all messages up to that one, as framed
}

// hubFaults lets hubs of all policies publish to members that are slow, leave,
// or end in any way, and compares what arrived with what was reported.
func hubFaults(t *testing.T, k *soak, rng *rand.Rand) {
	var running sync.WaitGroup
	for _, lag := range []chanio.LagPolicy{chanio.LagDisconnect, chanio.LagDrop, chanio.LagBlock} {
		for _, healthy := range []bool{true, false} {
			all := places()
			at := all[rng.IntN(len(all))]
			at.Framed = !at.keepsMessages()
			h := openHub(t, at, lag, healthy, rng)
			seed := rng.Uint64()
			running.Go(func() { h.run(t.Context(), k, seed) })
		}
	}
	running.Wait()
}

// openHub makes a hub and its members.
func openHub(t *testing.T, at place, lag chanio.LagPolicy, healthy bool, rng *rand.Rand) *hubFault {
	served := drawRole(rng)
	served.WriteAfter = timeout
	if lag == chanio.LagBlock && !healthy {
		served.WriteAfter = 2 * time.Second // for those that stop reading
	}
	v := openVenue(t, at, served)
	h := &hubFault{place: v.place, lag: lag, l: v.l}
	h.hub = chanio.NewHub(t.Context(), &chanio.Options{
		Framing: chanio.LengthPrefix{Size: 4}, Lag: lag, MaxLag: 64<<10 + rng.IntN(256<<10),
		WriteTimeout: served.WriteAfter, EventQueue: 1 << 16,
	})
	t.Cleanup(func() { h.hub.Close() })
	for i := range hubMembers {
		m := &hubMember{role: drawRole(rng), leaveAt: never}
		if healthy {
			m.Way = finish
		}
		m.EndAt = rng.IntN(hubMessages / 2)
		if rng.IntN(3) == 0 {
			m.leaveAt = rng.Int64N(hubMessages)
		}
		client, server, err := v.meet(t.Context(), [2]role{m.role, served}, uint64(i)*2)
		require.NoError(t, err)
		m.s, m.client, m.wire = server.s, client.s, client.wire.(net.Conn)
		require.NoError(t, h.hub.Join(m.s))
		h.members = append(h.members, m)
	}
	return h
}

// run publishes to the members until all is over, and judges.
func (h *hubFault) run(ctx context.Context, k *soak, seed uint64) {
	var members sync.WaitGroup
	done := make(chan struct{})
	for _, m := range h.members {
		members.Go(m.receive)
		members.Go(func() {
			for range m.s.Recv() {
			}
		})
		members.Go(func() {
			<-done
			m.s.CloseWrite()
			if m.Way != finish {
				m.client.Abort(errPlanned)
			}
			<-m.client.Done()
			m.s.Close()
		})
	}
	lagged := make(map[*chanio.Session]int64)
	events := h.hub.Events()
	wrong := h.publish(ctx, rand.New(rand.NewPCG(seed, 1)))
	close(done)
	members.Wait()
	h.hub.Close()
	for e := range events {
		if e.Kind == chanio.EventLagged {
			lagged[e.Session] += int64(e.Count)
		}
	}
	for _, m := range h.members {
		h.judge(m, lagged[m.s])
		if m.wrong != "" {
			wrong = append(wrong, fmt.Sprintf("%s: %+v leaves at %d, received %d, lagged %d, Err %v and %v, %+v",
				m.wrong, m.role, m.leaveAt, len(m.got), lagged[m.s], m.s.Err(), m.client.Err(), m.s.Stats()))
		}
	}
	wrong = append(wrong, h.judgeCounters()...)
	if len(wrong) > 0 {
		k.problem("hub, %v, %+v, %d published, %+v: %q", h.lag, h.place, h.published, h.hub.Stats(), wrong)
	}
}

// publish publishes all messages. Members leave on the way.
func (h *hubFault) publish(ctx context.Context, rng *rand.Rand) (wrong []string) {
	w := wire{framed: true}
	size := int64(0)
	for h.published < hubMessages {
		for _, m := range h.members {
			if h.published >= m.leaveAt {
				h.hub.Leave(m.s)
				m.leaveAt = hasLeft + h.published
			}
		}
		b := chanio.NewBatch()
		var one []byte
		for range 1 + rng.IntN(2)*rng.IntN(20) {
			one = w.encode(published, payload(7, single, h.published, rng.IntN(4000)))
			size += int64(len(one)) + h.frame()
			h.ends = append(h.ends, size)
			h.published++
			b.Append(one)
		}
		var err error
		if b.Len() == 1 {
			err = h.hub.Multicast(one)
		} else {
			err = h.hub.MulticastBatch(b)
		}
		b.Release()
		if err != nil {
			return append(wrong, fmt.Sprint("publish: ", err))
		}
		if rng.IntN(30) == 0 {
			if err := h.hub.Flush(ctx); err != nil {
				return append(wrong, fmt.Sprint("Flush: ", err))
			}
			if st := h.hub.Stats(); h.quiet() && st.BytesSent < h.due(true) {
				wrong = append(wrong, fmt.Sprintf("Flush is nil, and %+v, of %d bytes", st, h.due(true)))
			}
		}
	}
	return wrong
}

// frame returns how many bytes the framing adds to a message.
func (h *hubFault) frame() int64 {
	if h.Framed {
		return 4
	}
	return 0
}

// quiet reports whether no member has ended or lost anything: then each must get
// everything.
func (h *hubFault) quiet() bool {
	if h.lag == chanio.LagDrop {
		return false
	}
	for _, m := range h.members {
		if m.Way != finish || m.s.Err() != nil {
			return false
		}
	}
	return true
}

// due returns how many bytes the members must get, if none has ended: all, or
// those that have not left.
func (h *hubFault) due(present bool) (bytes int64) {
	for _, m := range h.members {
		if n := h.last(m); n > 0 && !(present && m.left()) {
			bytes += h.ends[n-1]
		}
	}
	return bytes
}

// left reports whether m has left the hub by plan.
func (m *hubMember) left() bool { return m.leaveAt >= hasLeft && m.leaveAt < never }

// last returns the first message that m must not get.
func (h *hubFault) last(m *hubMember) int64 {
	if m.left() {
		return m.leaveAt - hasLeft
	}
	return h.published
}

// receive receives until the end, or until the plan says how to end.
func (m *hubMember) receive() {
	hearAll(m.client, m.Batches, func(p []byte) (done bool) {
		if len(p) < 9 || kind(p[0]) != published {
			m.wrong = fmt.Sprintf("a message of %d bytes that was never published", len(p))
			return true
		}
		seq := int64(binary.BigEndian.Uint64(p[1:]))
		if string(p[1:]) != string(payload(7, single, seq, len(p)-9)) {
			m.wrong = fmt.Sprintf("message %d is broken", seq)
			return true
		}
		m.got = append(m.got, seq)
		m.gotBytes += int64(len(p))
		if m.Way != finish && len(m.got) > m.EndAt {
			m.end()
			return true
		}
		if m.ReadEvery > 0 && len(m.got)%m.ReadEvery == 0 {
			pause(m.Pause/4, m.client.Done())
		}
		return false
	})
	if m.Way == finish {
		m.client.Close()
	}
}

// end ends the receiving as planned.
func (m *hubMember) end() {
	m.planned = true
	switch m.Way {
	case shut:
		m.client.Close()
	case hangUp:
		m.wire.Close()
	case forget:
		pause(3*time.Second, m.client.Done())
		m.client.Abort(errPlanned)
	default:
		m.client.Abort(errPlanned)
	}
}

// judge judges what m received; the events reported that it skipped lagged messages.
func (h *hubFault) judge(m *hubMember, lagged int64) {
	complain := func(wrong bool, what string) {
		if wrong && m.wrong == "" {
			m.wrong = what
		}
	}
	gaps, next := int64(0), int64(0)
	for _, seq := range m.got {
		complain(seq < next, "a message arrived twice or late")
		gaps, next = gaps+seq-next, seq+1
	}
	last := h.last(m)
	complain(next > last, "it got what was published after it had left")
	if h.lag != chanio.LagDrop {
		complain(gaps > 0, "a gap that was not reported")
		complain(lagged > 0 && m.s.Err() == nil, "it lagged, and did not end")
	}
	complain(gaps > lagged, "it skipped more than the event says")
	st, got := m.s.Stats(), m.gotBytes+h.frame()*int64(len(m.got))
	complain(st.BytesPending != 0 || st.Sessions != 0, "it is not over")
	complain(st.BytesSent < got, "more was received than sent")
	if m.planned || m.Way != finish || m.s.Err() != nil || m.client.Err() != nil {
		return
	}
	complain(gaps+last-next != lagged, "a loss that was not reported")
	complain(st.BytesSent != got || st.MessagesSent != int64(len(m.got)), "sent differs from received")
	complain(st.Undelivered != 0, "something is undelivered that was received")
}

// judgeCounters checks the hub's counters.
func (h *hubFault) judgeCounters() (wrong []string) {
	st := h.hub.Stats()
	if st.BytesPending != 0 || st.Sessions != 0 || st.EventsDropped != 0 {
		wrong = append(wrong, "it is not over")
	}
	sent := int64(0)
	for _, m := range h.members {
		sent += m.s.Stats().BytesSent
	}
	if st.BytesSent != sent {
		wrong = append(wrong, fmt.Sprintf("the hub sent %d bytes, and its members %d", st.BytesSent, sent))
	}
	if h.quiet() && st.BytesSent+st.Undelivered != h.due(false) {
		wrong = append(wrong, fmt.Sprintf("of %d bytes, %d were sent and %d not", h.due(false), st.BytesSent, st.Undelivered))
	}
	return wrong
}
