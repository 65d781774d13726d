//go:build !unix

package load

import (
	"errors"
	"net"
	"syscall"
)

// rawConn returns nil: here everything goes through package net.
func rawConn(net.Conn) syscall.RawConn { return nil }

func receiveRaw(syscall.RawConn, func([]byte, bool) bool) error {
	return errors.ErrUnsupported
}
