package chanio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
)

// A networkKind is what a network carries. It decides which options there are
// and what binds and dials.
type networkKind int8

const (
	unknownNetwork networkKind = iota
	streamNetwork
	packetNetwork   // messages over a connection
	datagramNetwork // messages without one
)

// A network is how its connections are made. Each function gets the network's
// name. The zero network is an unknown one.
type network struct {
	kind   networkKind
	listen func(ctx context.Context, name, address string, set *settings) (net.Listener, error)
	dial   func(ctx context.Context, name, address string, set *settings) (net.Conn, error)
}

// networkNamed is the table of networks.
func networkNamed(name string) network {
	switch name {
	case "tcp", "tcp4", "tcp6":
		return network{streamNetwork, listenByName, dialByName}
	case "unix":
		return network{streamNetwork, listenUnix, dialByName}
	case "unixpacket":
		return network{packetNetwork, listenUnix, dialByName}
	case "udp", "udp4", "udp6":
		return network{datagramNetwork, nil, dialByName} // its listeners are made by listenPeers
	}
	return network{}
}

func kindOf(name string) networkKind { return networkNamed(name).kind }

// isUnix reports whether addresses of the network are files.
func isUnix(network string) bool { return network == "unix" || network == "unixpacket" }

// listenSettings resolves the options of a Listen.
func listenSettings(ctx context.Context, network string, o *Options) (*settings, error) {
	switch kindOf(network) {
	case streamNetwork:
		set, err := o.resolve(false)
		if err == nil {
			err = set.checkServerTLS()
		}
		return set, err
	case packetNetwork:
		return packetSettings("listen", network, o)
	case datagramNetwork:
		return peerSettings(ctx, network, o)
	}
	return nil, wrapOp("listen", network, nil, nil, net.UnknownNetworkError(network))
}

// dialSettings resolves the options of a Dial or Connect.
func dialSettings(ctx context.Context, network string, o *Options) (*settings, error) {
	switch kindOf(network) {
	case streamNetwork:
		return o.resolve(false)
	case packetNetwork:
		return packetSettings("dial", network, o)
	case datagramNetwork:
		set, err := datagramSettings(ctx, "dial", network, o)
		if err == nil {
			set.IdleTimeout = max(0, o.idleTimeout()) // the default is for peers that dialed us
		}
		return set, err
	}
	return nil, wrapOp("dial", network, nil, nil, net.UnknownNetworkError(network))
}

// packetSettings resolves options for connections with message boundaries.
func packetSettings(op, network string, o *Options) (*settings, error) {
	if runtime.GOOS != "linux" {
		return nil, wrapOp(op, network, nil, nil, errors.ErrUnsupported)
	}
	set, err := o.resolve(false)
	if err == nil {
		err = set.checkPackets()
	}
	if err != nil {
		return nil, err
	}
	return set, nil
}

// checkPackets reports an option that a connection with message boundaries does
// not have.
func (set *settings) checkPackets() error {
	name := ""
	switch {
	case set.TLS != nil:
		name = "TLS"
	case set.Framing != nil:
		name = "Framing"
	case set.ProxyProtocol:
		name = "ProxyProtocol"
	default:
		return nil
	}
	return fmt.Errorf("chanio: option %s is not for unixpacket: a packet is a message", name)
}
