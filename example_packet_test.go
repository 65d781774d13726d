package chanio_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/netip"

	"example.com/chanio"
)

// An endpoint sends back each datagram that it receives, to its sender.
func ExampleListenPacket() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	server, err := chanio.ListenPacket(ctx, "udp", "127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for m := range server.Recv() {
			select {
			case server.Send() <- m: // from the address that the peer wrote to
			case <-server.Done():
			}
		}
	}()

	client, err := chanio.ListenPacket(ctx, "udp", "127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Put(chanio.Packet{Addr: server.LocalAddr(), Data: []byte("hello")}); err != nil {
		log.Fatal(err)
	}
	m := <-client.Recv()
	fmt.Println(string(m.Data), m.Addr == server.LocalAddr())
	client.Close()
	server.Close()
	// Output: hello true
}

// A datagram that can't be sent is an event, and the endpoint lives on.
func ExamplePacketConn_Events() {
	p, err := chanio.ListenPacket(context.Background(), "udp4", "127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	p.Send() <- chanio.Packet{Addr: p.LocalAddr(), Data: make([]byte, 65508)}
	for e := range p.Events() {
		if e.Kind == chanio.EventFailed {
			fmt.Println(context.Cause(p.Context()), e.Kind)
			break
		}
	}
	// Output: <nil> failed
}

// Two members of a multicast group, on the loopback interface, and a sender.
func ExampleListenMulticast() {
	ctx := context.Background()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		lo = nil // another system: its choice
	}
	o := &chanio.Options{ReuseAddr: true, Multicast: chanio.Multicast{Interface: lo}}
	sender, err := chanio.ListenPacket(ctx, "udp4", "127.0.0.1:0", o)
	if err != nil {
		log.Fatal(err)
	}
	defer sender.Close()

	// The port is free, since the sender's is its own: members share theirs, here
	// also with the sender (ReuseAddr).
	group := netip.AddrPortFrom(netip.MustParseAddr("239.255.0.7"), sender.LocalAddr().Port())
	var members []*chanio.PacketConn
	for range 2 {
		p, err := chanio.ListenMulticast(ctx, "udp4", group.String(), o)
		if err != nil {
			log.Fatal(err)
		}
		defer p.Close()
		members = append(members, p)
	}
	sender.Send() <- chanio.Packet{Addr: group, Data: []byte("news")}
	for _, p := range members {
		m := <-p.Recv()
		fmt.Println(string(m.Data), "for", m.Local.Addr())
	}
	// Output:
	// news for 239.255.0.7
	// news for 239.255.0.7
}
