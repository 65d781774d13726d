package datagram

import (
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// oneByOne moves one datagram per system call, by means that every system has.
type oneByOne struct {
	conn   *Conn
	waiter waiter
}

// maxDatagram is more bytes than any datagram has.
const maxDatagram = 1 << 16

// maxControl is room for the control messages that were asked for here and, by a
// net.Dialer's Control, elsewhere.
const maxControl = 512

// single is the memory of one read.
type single struct {
	data    [maxDatagram]byte
	control [maxControl]byte
}

var singles = sync.Pool{New: func() any { return new(single) }}

func (s *single) free() { singles.Put(s) }

func (e *oneByOne) read() (*batch, error) {
	c := e.conn
	if c.raw != nil {
		if err := e.waiter.wait(c.raw); err != nil {
			return nil, err
		}
	}
	s := singles.Get().(*single)
	n, controls, _, from, err := c.sock.ReadMsgUDPAddrPort(s.data[:], s.control[:])
	if err != nil {
		s.free()
		return nil, err
	}
	p := Packet{Addr: Unmap(from), Data: s.data[:n:n]}
	p.Local, p.IfIndex = c.parseControl(s.control[:controls])
	if linkLocal(from.Addr()) && p.IfIndex != 0 {
		// Package net may remember another interface's name.
		p.Addr = netip.AddrPortFrom(c.zoner.zoned(from.Addr(), p.IfIndex), from.Port())
	}
	b := newBatch()
	b.memory = s
	b.packets = append(b.packets, p)
	return b, nil
}

func (e *oneByOne) close() {}

// writeNow sends nothing: package net's writes wait.
func (e *oneByOne) writeNow([]Packet) int { return 0 }

func (e *oneByOne) write(ps []Packet) (int, error) {
	for i := range ps {
		if err := e.writeOne(&ps[i]); err != nil {
			return i, err
		}
	}
	return len(ps), nil
}

func (e *oneByOne) writeOne(p *Packet) error {
	c := e.conn
	if c.timeout > 0 {
		if err := c.sock.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
			return err
		}
	}
	to := Unmap(p.Addr)
	switch {
	case c.connected:
		to = netip.AddrPort{}
	case to.Addr().Zone() != "" || linkLocal(to.Addr()) && p.IfIndex != 0:
		// As a number: package net may remember another index for that name.
		to = netip.AddrPortFrom(to.Addr().WithZone(strconv.Itoa(c.scope(p))), to.Port())
	}
	_, _, err := c.sock.WriteMsgUDPAddrPort(p.Data, c.control(p), to)
	return err
}
