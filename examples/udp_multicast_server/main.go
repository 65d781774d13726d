// Udp_multicast_server sends what is typed to a multicast group, prefixed with
// "(admin) ". Its arguments are the group's address (239.255.0.1) and port
// (3334). "!" restarts it, and an empty line, the end of the input or Ctrl-C
// stops it.
package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"example.com/chanio"
	"example.com/chanio/examples/internal/console"
)

func main() {
	args := console.Args(console.Group("Group", "239.255.0.1"), console.Port("Port", "3334"))
	group, err := netip.ParseAddrPort(net.JoinHostPort(args[0], args[1]))
	if err != nil {
		console.Exit(err)
	}
	console.Exit(run(console.Lines(), group))
}

func run(lines <-chan string, group netip.AddrPort) error {
	fmt.Println("Type a message for the group, '!' to restart the server, an empty line to stop it.")
	for {
		again, err := serve(lines, group)
		if !again || err != nil {
			return err
		}
		fmt.Println("Restarted")
	}
}

// serve sends lines to the group. It reports whether it should be called again.
func serve(lines <-chan string, group netip.AddrPort) (again bool, err error) {
	p, err := chanio.ListenPacket(context.Background(), "udp", ":0", nil)
	if err != nil {
		return false, err
	}
	defer p.Close() // which sends what was typed before
	fmt.Println("Sending from", p.LocalAddr())
	for {
		select {
		case line, ok := <-lines:
			if !ok || line == "!" {
				return ok, nil
			}
			if err := p.Put(chanio.Packet{Addr: group, Data: []byte("(admin) " + line)}); err != nil {
				fmt.Println("Not sent:", err)
			}
		case e := <-p.Events():
			if e.Kind == chanio.EventFailed {
				fmt.Println("Failed:", e.Err)
			}
		case <-p.Done():
			return false, p.Err()
		}
	}
}
