package datagram

import (
	"errors"
	"net"
)

// errNoInterface says, as package net does, that no interface has the name.
var errNoInterface = errors.New("no such network interface")

// bare strips the net.OpErrors from err, whose addresses are the socket's: the
// caller knows the peer and says so.
func bare(err error) error {
	for {
		op, ok := errors.AsType[*net.OpError](err)
		if !ok {
			return err
		}
		err = op.Err
	}
}
