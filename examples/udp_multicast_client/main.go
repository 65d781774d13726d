// Udp_multicast_client joins a multicast group, prints what is sent to it, and
// rejoins a second after a failure. Its arguments are the address to listen on
// (0.0.0.0: the system chooses; otherwise an address of the interface to join
// on), the group's address (239.255.0.1) and its port (3334). "!" rejoins, and
// an empty line, the end of the input or Ctrl-C stops the client.
package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"example.com/chanio"
	"example.com/chanio/examples/internal/console"
)

func main() {
	args := console.Args(console.Host("Listen address", "0.0.0.0"), console.Group("Group", "239.255.0.1"), console.Port("Port", "3334"))
	console.Exit(run(console.Lines(), args[0], net.JoinHostPort(args[1], args[2])))
}

func run(lines <-chan string, listen, group string) error {
	fmt.Println("Type '!' to join again, an empty line to stop.")
	ctx := context.Background()
	try := chanio.NewTimer(ctx) // to join, the first time at once
	try.Reset(0)
	defer try.Cancel()

	var p *chanio.PacketConn // nil while it has not joined
	for {
		var packets <-chan chanio.Packet // nil, which is never ready, without p
		if p != nil {
			packets = p.Recv()
		}
		select {
		case m, ok := <-packets:
			if ok {
				fmt.Printf("%v: %s\n", m.Addr, m.Data)
				continue
			}
			fmt.Println("Failed:", p.Err())
			p = nil
			try.Reset(time.Second)
		case line, ok := <-lines:
			if p != nil && (!ok || line == "!") {
				p.Close()
				p = nil
			}
			if !ok {
				return nil
			}
			if line == "!" {
				try.Reset(0)
			}
		case e := <-try.C():
			if e.Canceled {
				continue // a later one is armed
			}
			var err error
			if p, err = join(ctx, listen, group); err != nil {
				fmt.Println("Failed:", err)
				try.Reset(time.Second)
				continue
			}
			fmt.Println("Joined", p.LocalAddr())
		}
	}
}

// join joins the group on the interface that has the address listen.
func join(ctx context.Context, listen, group string) (*chanio.PacketConn, error) {
	o := new(chanio.Options)
	if addr, err := netip.ParseAddr(listen); err != nil || !addr.IsUnspecified() {
		if o.Multicast.Interface, err = interfaceOf(ctx, listen); err != nil {
			return nil, err
		}
		if o.Multicast.Interface.Flags&net.FlagLoopback != 0 {
			fmt.Println("Note:", o.Multicast.Interface.Name, "is a loopback interface: only what this host sends there is heard")
		}
	}
	return chanio.ListenMulticast(ctx, "udp", group, o)
}

// interfaceOf returns the interface that has the address host.
func interfaceOf(ctx context.Context, host string) (*net.Interface, error) {
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, ifi := range all {
		addrs, err := ifi.Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			own, err := netip.ParsePrefix(a.String())
			if err == nil && own.Addr() == ips[0].Unmap() {
				return &ifi, nil
			}
		}
	}
	return nil, fmt.Errorf("no interface has the address %s", host)
}
