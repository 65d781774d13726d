package chanio_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/netip"

	"example.com/chanio"
)

// An endpoint may be in any number of groups; Local tells which of them a
// packet was for.
func ExamplePacketConn_JoinGroup() {
	ctx := context.Background()
	lo, err := loopback()
	if err != nil {
		log.Fatal(err)
	}
	o := &chanio.Options{Multicast: chanio.Multicast{Interface: lo}}
	p, err := chanio.ListenPacket(ctx, "udp4", ":0", o)
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	sender, err := chanio.ListenPacket(ctx, "udp4", "127.0.0.1:0", o)
	if err != nil {
		log.Fatal(err)
	}
	defer sender.Close()

	weather, sport := netip.MustParseAddr("239.255.0.8"), netip.MustParseAddr("239.255.0.9")
	if err := p.JoinGroup(weather, nil); err != nil {
		log.Fatal(err)
	}
	// Of the other group's senders, one is enough.
	if err := p.JoinSource(sport, sender.LocalAddr().Addr(), nil); err != nil {
		log.Fatal(err)
	}
	port := p.LocalAddr().Port()
	sender.Put(chanio.Packet{Addr: netip.AddrPortFrom(weather, port), Data: []byte("rain")})
	sender.Put(chanio.Packet{Addr: netip.AddrPortFrom(sport, port), Data: []byte("2:1")})
	for range 2 {
		m := <-p.Recv()
		fmt.Printf("%v: %s\n", m.Local.Addr(), m.Data)
	}
	fmt.Println(p.LeaveGroup(weather, nil))
	// Output:
	// 239.255.0.8: rain
	// 239.255.0.9: 2:1
	// <nil>
}

// loopback returns the interface on which a host talks to itself.
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
