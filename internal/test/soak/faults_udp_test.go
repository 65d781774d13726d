//go:build unix

package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// udpExchanges is how many udp sessions talk, in a seed of faults.
const udpExchanges = 30

// A udpSide is one end of a udp session: a dialed one or a listener's.
type udpSide struct {
	role
	s     *chanio.Session
	start uint64

	sent, sentBytes int64 // accepted by Put, PutBatch
	tooLarge        int64 // bytes of messages that no datagram holds
	got             int64
	last            [lanes]int64 // the number that the next one must have, at least
	wrong           string
}

func (d *udpSide) complain(wrong bool, what string) {
	if wrong && d.wrong == "" {
		d.wrong = what
	}
}

// A datagramSender is what a udpSide sends with: a session, or a packet endpoint
// that sends to one address.
type datagramSender interface {
	put(m []byte) error
	putBatch(m []byte) error
	send(m []byte) bool // on the channel; false if it is over
	Flush(context.Context) error
	Stats() chanio.Stats
}

type sessionSender struct{ *chanio.Session }

func (s sessionSender) put(m []byte) error { return s.Put(m) }

func (s sessionSender) putBatch(m []byte) error {
	b := chanio.NewBatch()
	b.Append(m)
	return s.PutBatch(b)
}

func (s sessionSender) send(m []byte) bool {
	select {
	case s.Send() <- m:
		return true
	case <-s.Done():
		return false
	}
}

// send sends all messages and flushes now and then: Flush and Close are nil only
// if nothing was lost since the last Flush.
func (d *udpSide) send(ctx context.Context, to datagramSender, rng *rand.Rand) {
	lost := false // since the last Flush
	var seq [lanes]int64
	for range sum(d.Messages) {
		lane := rng.IntN(lanes)
		m := (wire{framed: true}).encode(kindOf(lane), payload(d.start, lane, seq[lane], rng.IntN(min(d.MaxSize, 1200)+1)))
		var err error
		switch {
		case rng.IntN(20) == 0: // none that a datagram holds
			if to.send(make([]byte, 70_000)) {
				d.tooLarge += 70_000
				lost = true
			}
			continue
		case lane == batched:
			err = to.putBatch(m)
		default:
			err = to.put(m)
		}
		if err != nil {
			d.complain(true, fmt.Sprint("put: ", err))
			return
		}
		seq[lane]++
		d.sent++
		d.sentBytes += int64(len(m))
		if rng.IntN(8) == 0 {
			err := to.Flush(ctx)
			d.complain(lost != errors.Is(err, chanio.ErrMessageTooLarge), fmt.Sprint("Flush: ", err, ", and a datagram was lost: ", lost))
			st := to.Stats()
			d.complain(st.MessagesSent != d.sent || st.BytesSent != d.sentBytes || st.Undelivered != d.tooLarge, fmt.Sprintf("after Flush: %+v", st))
			lost = false
		}
	}
}

// receive requires that what arrives is whole, in order, and nothing twice.
func (d *udpSide) receive(peer uint64) {
	hearAll(d.s, d.Batches, func(m []byte) bool {
		if d.took(peer, m) && d.ReadEvery > 0 && d.got%int64(d.ReadEvery) == 0 {
			pause(d.Pause, d.s.Done())
		}
		return false
	})
}

// took takes a datagram, and reports whether it is one that may arrive now.
func (d *udpSide) took(peer uint64, m []byte) bool {
	d.got++
	lane := int(m[0]) - int(kindOf(0))
	if len(m) < 9 || lane < 0 || lane >= lanes {
		d.complain(true, fmt.Sprintf("a datagram of %d bytes that was never sent", len(m)))
		return false
	}
	seq := d.last[lane]
	for string(m[1:]) != string(payload(peer, lane, seq, len(m)-9)) {
		if seq++; seq > d.last[lane]+1000 {
			d.complain(true, fmt.Sprintf("a datagram of %d bytes arrived twice, or late", len(m)))
			return false
		}
	}
	d.last[lane] = seq + 1
	return true
}

// udpFaults lets udp sessions talk, one of whose ends may be slow, and
// compares their counters with what arrived.
func udpFaults(t *testing.T, k *soak, rng *rand.Rand) {
	l, err := chanio.Listen(t.Context(), "udp", "127.0.0.1:0", &chanio.Options{RecvQueue: []int{-1, 1, 0}[rng.IntN(3)]})
	require.NoError(t, err)
	talkUDP(t, k, rng, l)
	if !more() {
		return
	}
	conn := newLossyConn(t, rng)
	talkUDP(t, k, rng, chanio.ServePeers(t.Context(), conn, &chanio.Options{RecvQueue: []int{-1, 1, 0}[rng.IntN(3)]}))
	if conn.lost.Load() == 0 {
		k.problem("udp: the lossy network loses nothing")
	}
}

// talkUDP runs sessions of l, and closes it.
func talkUDP(t *testing.T, k *soak, rng *rand.Rand, l *chanio.Listener) {
	defer l.Close()
	var exchanges []func()
	for i := range udpExchanges {
		o := &chanio.Options{RecvQueue: []int{-1, 1, 0}[rng.IntN(3)], SendQueue: []int{-1, 1, 0}[rng.IntN(3)]}
		s, err := chanio.Dial(t.Context(), "udp", l.Addr().String(), o)
		require.NoError(t, err)
		client := &udpSide{role: drawRole(rng), s: s, start: uint64(i) * 7919}
		first := (wire{framed: true}).encode(kindOf(single), payload(client.start, single, 1<<40, 0))
		require.NoError(t, s.Put(first))
		server := &udpSide{role: drawRole(rng), s: sessionOf(l, s), start: uint64(i)*7919 + 31337}
		require.Equal(t, first, <-server.s.Recv())
		server.Batches = false
		require.NoError(t, s.Flush(t.Context()))
		client.sent, client.sentBytes, server.got = 1, int64(len(first)), 1
		clientRand, serverRand := rand.New(rand.NewPCG(rng.Uint64(), 1)), rand.New(rand.NewPCG(rng.Uint64(), 2))
		exchanges = append(exchanges, func() {
			var sending, receiving sync.WaitGroup
			receiving.Go(func() { client.receive(server.start) })
			receiving.Go(func() { server.receive(client.start) })
			sending.Go(func() { client.send(t.Context(), sessionSender{client.s}, clientRand) })
			sending.Go(func() { server.send(t.Context(), sessionSender{server.s}, serverRand) })
			sending.Wait()
			client.s.Flush(t.Context())
			client.complain(client.s.Close() != nil, "Close is an error, and nothing was lost since the last Flush")
			server.s.Flush(t.Context())
			server.complain(server.s.Close() != nil, "Close is an error, and nothing was lost since the last Flush")
			receiving.Wait()
			judgeUDP(client, server)
			judgeUDP(server, client)
			for _, d := range []*udpSide{client, server} {
				if d.wrong != "" {
					k.problem("udp: %s: %+v sent %d received %d: %+v", d.wrong, d.role, d.sent, d.got, d.s.Stats())
				}
			}
		})
	}
	// They begin when all sessions are there: a flood at the listener's socket
	// could cost a session its first datagram, which is sent only once.
	var running sync.WaitGroup
	for _, exchange := range exchanges {
		running.Go(exchange)
	}
	running.Wait()
}

// sessionOf returns the session of l whose peer is s. What was meant for an
// earlier owner of l's port begins sessions too.
func sessionOf(l *chanio.Listener, s *chanio.Session) *chanio.Session {
	for other := range l.Sessions() {
		if other.RemoteAddr().String() == s.LocalAddr().String() {
			return other
		}
		other.Abort(nil)
	}
	return nil
}

// judgeUDP judges what x sent and y received.
func judgeUDP(x, y *udpSide) {
	st, got := x.s.Stats(), y.s.Stats()
	x.complain(st.MessagesSent != x.sent || st.BytesSent != x.sentBytes, "sent is not what was accepted")
	x.complain(st.Undelivered != x.tooLarge || st.MessagesDropped < x.tooLarge/70_000, "undelivered is not what no datagram holds")
	y.complain(got.MessagesReceived != y.got, "MessagesReceived is not the number of messages taken")
	y.complain(y.got > x.sent, "more was received than was sent")
	y.complain(got.MessagesReceived+got.MessagesDropped-y.tooLarge/70_000 > x.sent, "more was received and dropped than was sent")
}
