//go:build unix

package soak

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// A lossyConn is a UDP socket on a network that loses datagrams: a tenth of
// those longer than smallDatagram, both ways.
type lossyConn struct {
	net.PacketConn
	lost atomic.Int64

	mu  sync.Mutex
	rng *rand.Rand
}

const smallDatagram = 50

func newLossyConn(t *testing.T, rng *rand.Rand) *lossyConn {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	return &lossyConn{PacketConn: conn, rng: rand.New(rand.NewPCG(rng.Uint64(), 3))}
}

func (c *lossyConn) loses(size int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if size <= smallDatagram || size > 1<<15 || c.rng.IntN(10) > 0 {
		return false
	}
	c.lost.Add(1)
	return true
}

func (c *lossyConn) WriteTo(p []byte, to net.Addr) (int, error) {
	if c.loses(len(p)) {
		return len(p), nil
	}
	return c.PacketConn.WriteTo(p, to)
}

func (c *lossyConn) ReadFrom(p []byte) (n int, from net.Addr, err error) {
	for {
		if n, from, err = c.PacketConn.ReadFrom(p); err != nil || !c.loses(n) {
			return n, from, err
		}
	}
}

// A packetSide is a packet endpoint that sends to another one and receives from
// it.
type packetSide struct {
	udpSide
	p    *chanio.PacketConn
	peer netip.AddrPort
}

// packetFaults lets packet endpoints talk, on sockets of the library and on a
// lossy network, and compares their counters with what arrived.
func packetFaults(t *testing.T, k *soak, rng *rand.Rand) {
	var running sync.WaitGroup
	for i := range 6 {
		var sides [2]*packetSide
		for j := range sides {
			o := &chanio.Options{RecvQueue: []int{-1, 1, 0}[rng.IntN(3)], SendQueue: []int{-1, 1, 0}[rng.IntN(3)]}
			d := &packetSide{udpSide: udpSide{role: drawRole(rng), start: uint64(2*i+j) * 7919}}
			if i%2 == 0 {
				var err error
				d.p, err = chanio.ListenPacket(t.Context(), "udp", "127.0.0.1:0", o)
				require.NoError(t, err)
			} else {
				d.p = chanio.NewPacketConn(t.Context(), newLossyConn(t, rng), o)
			}
			t.Cleanup(func() { d.p.Close() })
			sides[j] = d
		}
		sides[0].peer, sides[1].peer = sides[1].p.LocalAddr(), sides[0].p.LocalAddr()
		seeds := [2]uint64{rng.Uint64(), rng.Uint64()}
		running.Go(func() {
			var sending, receiving sync.WaitGroup
			for j, d := range sides {
				receiving.Go(func() { d.receive(sides[1-j].start) })
				sending.Go(func() { d.send(t.Context(), packetSender{d.p, d.peer}, rand.New(rand.NewPCG(seeds[j], 4))) })
			}
			sending.Wait()
			for _, d := range sides {
				d.p.Flush(t.Context())
				d.complain(d.p.Close() != nil, "Close is an error, and nothing was lost since the last Flush")
			}
			receiving.Wait()
			for j, d := range sides {
				d.judge(sides[1-j])
				if d.wrong != "" {
					k.problem("packets: %s: %+v sent %d received %d: %+v", d.wrong, d.role, d.sent, d.got, d.p.Stats())
				}
			}
		})
	}
	running.Wait()
}

// A packetSender sends to one address.
type packetSender struct {
	*chanio.PacketConn
	to netip.AddrPort
}

func (p packetSender) packet(m []byte) chanio.Packet { return chanio.Packet{Addr: p.to, Data: m} }

func (p packetSender) put(m []byte) error { return p.Put(p.packet(m)) }

func (p packetSender) putBatch(m []byte) error {
	b := chanio.NewPacketBatch()
	b.Append(p.packet(m))
	return p.PutBatch(b)
}

func (p packetSender) send(m []byte) bool {
	select {
	case p.Send() <- p.packet(m):
		return true
	case <-p.Done():
		return false
	}
}

// receive requires that what arrives is whole, in order, and nothing twice.
func (d *packetSide) receive(peer uint64) {
	got := func(m chanio.Packet) {
		if m.Addr == d.peer { // others leave datagrams behind
			d.took(peer, m.Data)
		}
	}
	if !d.Batches {
		for m := range d.p.Recv() {
			got(m)
		}
		return
	}
	for b := range d.p.RecvBatch() {
		for _, m := range b.All() {
			got(m)
		}
		b.Release()
	}
}

// judge judges what d sent and y received.
func (d *packetSide) judge(y *packetSide) {
	st := d.p.Stats()
	d.complain(st.MessagesSent != d.sent || st.BytesSent != d.sentBytes, "sent is not what was accepted")
	d.complain(st.Undelivered != d.tooLarge || st.MessagesDropped < d.tooLarge/70_000, "undelivered is not what no datagram holds")
	d.complain(st.BytesPending != 0 || st.Sessions != 0, "it is not over")
	y.complain(y.p.Stats().MessagesReceived < y.got, "more was received than was counted")
	y.complain(y.got > d.sent, "more was received than was sent")
}
