//go:build unix

package soak

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// datagrams are the soak's servers and clients without connections: a udp
// listener that echoes, a PacketConn that echoes, and a multicast group. Every
// datagram that arrives must have been sent, and must arrive whole, in order
// and once. Whichever end loses one must report it.
type datagrams struct {
	soak     *soak
	listener *chanio.Listener
	packets  *chanio.PacketConn
	group    string
	loopback *net.Interface
	sender   *chanio.PacketConn

	servers sync.WaitGroup
	clients sync.WaitGroup
	sending sync.WaitGroup
	stop    context.CancelFunc // ends the sending

	answers   atomic.Int64 // that the clients received
	restarts  int
	groupSeen atomic.Int64
}

const (
	datagramClients = 40
	groupMembers    = 4
)

func startDatagrams(t *testing.T, k *soak, seed uint64) *datagrams {
	var err error
	d := &datagrams{soak: k}
	// A closed session's address is ignored for CloseTimeout, and ports come back.
	at := place{Network: "udp"}
	d.listener = listen(t, at, &chanio.Options{CloseTimeout: 50 * time.Millisecond})
	d.packets, err = chanio.ListenPacket(t.Context(), "udp", "127.0.0.1:0", nil)
	require.NoError(t, err)
	d.servers.Go(d.echoSessions)
	d.servers.Go(d.echoPackets)

	rng := rand.New(rand.NewPCG(seed, 300))
	for i := range datagramClients {
		address := d.listener.Addr().String()
		if i%4 == 0 {
			address = d.packets.LocalAddr().String()
		}
		clientRand := rand.New(rand.NewPCG(seed, 400+uint64(i)))
		d.clients.Go(func() { d.client(t.Context(), address, uint64(i), clientRand) })
	}
	d.clients.Go(func() {
		for range 4 {
			pause(time.Duration(100+rng.IntN(200))*time.Millisecond, t.Context().Done())
			if err := d.listener.Restart(t.Context()); err != nil {
				k.problem("udp: restart: %v", err)
			}
			d.restarts++
		}
	})
	d.startGroup(t, seed)
	return d
}

func (d *datagrams) String() string {
	return fmt.Sprintf("%d datagrams answered through %d restarts; %d received from a group", d.answers.Load(), d.restarts, d.groupSeen.Load())
}

func (d *datagrams) echoSessions() {
	var handlers sync.WaitGroup
	defer handlers.Wait()
	for s := range d.listener.Sessions() {
		handlers.Go(func() {
			for m := range s.Recv() {
				s.Put(m)
			}
		})
	}
}

func (d *datagrams) echoPackets() {
	for m := range d.packets.Recv() {
		d.packets.Put(m)
	}
}

// datagram returns the datagram number seq of client id.
func datagram(id, seq uint64, size int) []byte {
	m := binary.BigEndian.AppendUint64(nil, id)
	m = binary.BigEndian.AppendUint64(m, seq)
	return append(m, noise[seq%period:][:size]...)
}

// numberOf returns the number of a datagram of client id.
func numberOf(id uint64, m []byte) (seq uint64, err error) {
	if len(m) < 16 || binary.BigEndian.Uint64(m) != id {
		return 0, errors.New("a datagram that was never sent")
	}
	seq = binary.BigEndian.Uint64(m[8:])
	if string(m) != string(datagram(id, seq, len(m)-16)) {
		return 0, fmt.Errorf("datagram %d of %d bytes is broken", seq, len(m))
	}
	return seq, nil
}

// client sends datagrams, a few at a time, until it has its answers, and
// ends in a random way.
func (d *datagrams) client(ctx context.Context, address string, id uint64, rng *rand.Rand) {
	s, err := chanio.Dial(ctx, "udp", address, nil)
	if err != nil {
		d.soak.problem("dial udp: %v", err)
		return
	}
	defer func() {
		if rng.IntN(2) == 0 {
			s.Abort(nil)
		}
		s.Close()
		if st := s.Stats(); st.BytesPending != 0 || st.Sessions != 0 {
			d.soak.problem("udp client after its end: %+v", st)
		}
	}()
	wanted := 50 + rng.IntN(100)
	resend := time.NewTicker(10 * time.Millisecond) // a lost datagram is not repeated: a new one is sent
	defer resend.Stop()
	give := time.NewTimer(timeout)
	defer give.Stop()
	var sent, last uint64
	send := func() {
		sent++
		size := rng.IntN(1 << (1 + rng.IntN(12)))
		s.Put(datagram(id, sent, size))
	}
	send()
	for wanted > 0 {
		select {
		case m, ok := <-s.Recv():
			if !ok {
				d.soak.problem("udp client: ended with %v", s.Err())
				return
			}
			seq, err := numberOf(id, m)
			if err != nil || seq <= last || seq > sent {
				d.soak.problem("udp client %d: %d after %d, of %d sent: %v", id, seq, last, sent, err)
				return
			}
			last = seq
			wanted--
			d.answers.Add(1)
			for range rng.IntN(3) {
				send()
			}
		case <-resend.C:
			send()
		case <-give.C:
			d.soak.problem("udp client %d: answers no longer arrive: %+v", id, s.Stats())
			return
		}
	}
}

// startGroup starts a sender to a group, and members that come and go.
func (d *datagrams) startGroup(t *testing.T, seed uint64) {
	all, err := net.Interfaces()
	require.NoError(t, err)
	for _, ifi := range all {
		if ifi.Flags&net.FlagLoopback != 0 {
			d.loopback = &ifi
		}
	}
	if d.loopback == nil {
		return
	}
	o := &chanio.Options{Multicast: chanio.Multicast{Interface: d.loopback}}
	d.group = fmt.Sprintf("239.255.%d.%d:%d", 1+rand.IntN(250), 1+rand.IntN(250), 12_000+rand.IntN(16_000))
	d.sender, err = chanio.ListenPacket(t.Context(), "udp4", "127.0.0.1:0", o)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	d.stop = stop
	d.sending.Go(func() { d.sendToGroup(ctx) })
	for i := range groupMembers {
		rng := rand.New(rand.NewPCG(seed, 500+uint64(i)))
		d.clients.Go(func() {
			for range 3 {
				d.member(t.Context(), o, rng)
			}
		})
	}
}

// sendToGroup sends numbered datagrams until ctx ends.
func (d *datagrams) sendToGroup(ctx context.Context) {
	group := netip.MustParseAddrPort(d.group)
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for seq := uint64(1); ; seq++ {
		err := d.sender.Put(chanio.Packet{Addr: group, Data: datagram(0, seq, int(seq%1000))})
		if err != nil {
			d.soak.problem("group: %v", err)
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// member joins the group, receives for a while, and leaves.
func (d *datagrams) member(ctx context.Context, o *chanio.Options, rng *rand.Rand) {
	p, err := chanio.ListenMulticast(ctx, "udp4", d.group, o)
	if err != nil {
		d.soak.problem("join: %v", err)
		return
	}
	var last uint64
	for range 20 + rng.IntN(200) {
		select {
		case m := <-p.Recv():
			seq, err := numberOf(0, m.Data)
			if err != nil || seq <= last {
				d.soak.problem("group: %d after %d: %v", seq, last, err)
			}
			last = seq
			d.groupSeen.Add(1)
		case <-time.After(timeout):
			d.soak.problem("group: datagrams no longer arrive: %+v", p.Stats())
		}
	}
	if rng.IntN(2) == 0 {
		p.Abort(nil)
	}
	p.Close()
}

// end ends the servers and checks that nothing is left of them.
func (d *datagrams) end(t *testing.T) {
	if d.sender != nil {
		d.stop()
		d.sending.Wait()
		require.NoError(t, d.sender.Close())
	}
	require.NoError(t, d.listener.Close())
	require.NoError(t, d.packets.Close())
	d.servers.Wait()
	for _, st := range []chanio.Stats{d.listener.Stats(), d.packets.Stats()} {
		require.Zero(t, st.BytesPending)
	}
	require.Zero(t, d.listener.Stats().Sessions)
}
