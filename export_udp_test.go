package chanio

import (
	"context"
	"net"
	"net/netip"

	"example.com/chanio/internal/datagram"
)

// ListenPacketBy and ListenMulticastBy are ListenPacket and ListenMulticast,
// on request with one system call a datagram.
var (
	ListenPacketBy    = listenPacket
	ListenMulticastBy = listenMulticast
)

// RebindOver makes Restart continue over the connection that open returns.
func (l *Listener) RebindOver(ctx context.Context, open func() net.PacketConn) {
	l.bind = func() (source, error) {
		conn, err := datagram.Wrap(open(), datagramConfig(l.set, false))
		if err != nil {
			return nil, err
		}
		return newPeers(ctx, conn, l.set), nil
	}
}

// DialOver is a udp Dial of remote over c.
func DialOver(ctx context.Context, c net.PacketConn, remote netip.AddrPort, o *Options) (*Session, error) {
	set, err := dialSettings(ctx, "udp", o)
	if err != nil {
		return nil, err
	}
	conn, err := datagram.Wrap(c, datagramConfig(set, false))
	if err != nil {
		return nil, err
	}
	s := newSession(ctx, &dialed{conn: conn, local: conn.LocalAddr(), remote: remote}, set, nil)
	s.watch(ctx)
	s.start()
	return s, nil
}

// KnownPeers returns how many address pairs a udp listener knows.
func (l *Listener) KnownPeers() int {
	table := l.src.(*peers)
	table.mu.Lock()
	defer table.mu.Unlock()
	return table.known
}

// UndeliveredPeers returns how many peers a udp listener keeps to deliver.
func (l *Listener) UndeliveredPeers() int { return len(l.src.(*peers).undelivered) }

// Deliver makes datagrams of one peer arrive at a udp listener.
func (l *Listener) Deliver(run []datagram.Packet) { l.src.(*peers).deliverRun(run, false) }

// A RecvState is the state of a session's Recv after datagrams arrived.
type RecvState = recvState

const (
	RecvFull    = recvFull
	RecvStalled = recvStalled
)

// NewPeer returns a session of a udp listener that the listener does not know.
func (l *Listener) NewPeer(ctx context.Context, remote netip.AddrPort) *Session {
	p := &peer{table: l.src.(*peers), key: peerKey{remote: remote}}
	return newSession(ctx, p, l.set, nil)
}

// PutRun puts datagrams into the session's Recv, once.
func (s *Session) PutRun(run []datagram.Packet, yielded bool) RecvState {
	_, state := s.tr.(*peer).put(run, false, yielded)
	return state
}

// IsStalled reports whether the reader of a dialed udp session, which waits, takes
// its receiver for stalled.
func (s *Session) IsStalled() bool { return s.tr.(*dialed).stalled }

// ReceiveRun makes datagrams arrive at a session of a udp listener.
func (s *Session) ReceiveRun(run []datagram.Packet) { s.tr.(*peer).receive(run, false) }

// BeginPut makes a Put of p begin. The result sends what it puts and ends it.
func (p *PacketConn) BeginPut() (finish func(Packet) error, ok bool) {
	if !p.puts.enter() {
		return nil, false
	}
	return func(m Packet) error {
		p.needWriter()
		err := offer(p.send, m, p.refused, nil)
		if p.puts.leave() {
			close(p.putsGone)
		}
		return err
	}, true
}

func (p *PacketConn) BeginClose() { p.beginClose() }

// HasWriter reports whether p's writer was started.
func (p *PacketConn) HasWriter() bool { return p.writer.Load() }
