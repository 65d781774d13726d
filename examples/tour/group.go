package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sync/errgroup"

	"example.com/chanio"
)

// tourGroup sends the news to a multicast group, on the loopback interface so
// that no other host hears it.
func tourGroup(ctx context.Context) error {
	loopback, err := loopback()
	if err != nil {
		return err
	}
	o := &chanio.Options{Multicast: chanio.Multicast{Interface: loopback}}
	sender, err := chanio.ListenPacket(ctx, "udp4", "127.0.0.1:0", o)
	if err != nil {
		return err
	}
	defer sender.Close()

	group := netip.AddrPortFrom(netip.MustParseAddr("239.255.0.1"), sender.LocalAddr().Port())
	var members errgroup.Group
	for range clients {
		p, err := chanio.ListenMulticast(ctx, "udp4", group.String(), o)
		if err != nil {
			return err
		}
		members.Go(func() error { return hearGroup(p) })
	}
	for range news {
		if err := sender.Put(chanio.Packet{Addr: group, Data: []byte(headline)}); err != nil {
			return err
		}
	}
	if err := members.Wait(); err != nil {
		return err
	}
	row("multicast group", clients, news, clients*news)
	return nil
}

// hearGroup receives the news as a member of the group.
func hearGroup(p *chanio.PacketConn) error {
	defer p.Close()
	timer := chanio.NewTimer(p.Context())
	timer.Reset(patience)
	for heard := range news {
		select {
		case _, ok := <-p.Recv():
			if !ok {
				return p.Err()
			}
		case <-timer.C():
			return fmt.Errorf("%v: only %d of %d came", p.LocalAddr(), heard, news)
		}
	}
	return nil
}

func loopback() (*net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 {
			return &i, nil
		}
	}
	return nil, fmt.Errorf("there is no loopback interface")
}
