package server

import (
	"errors"
	"slices"
	"syscall"

	"example.com/chanio"
)

// publishToGroup publishes with send to an IP multicast group, whose members it
// does not know.
func (s *Server) publishToGroup(send func(message []byte) error) {
	s.Addr = s.config.Address
	s.config.Clients = 1
	s.publish(send).enter()
}

// stdGroup needs one system call per datagram.
func stdGroup(s *Server) error {
	group, _, err := s.config.Group()
	if err != nil {
		return err
	}
	conn, err := s.config.Sender()
	if err != nil {
		return err
	}
	s.onClose(conn.Close)
	s.publishToGroup(func(message []byte) error {
		_, err := conn.WriteToUDPAddrPort(message, group)
		if errors.Is(err, syscall.ENOBUFS) {
			return nil // lost, as datagrams are
		}
		return err
	})
	return nil
}

// chanioGroup sends through a packet endpoint, a copy of each message: what is
// sent belongs to the library.
func chanioGroup(s *Server) error {
	group, ifi, err := s.config.Group()
	if err != nil {
		return err
	}
	o := s.config.Options()
	o.Multicast.Interface = ifi
	conn, err := s.listenPacket(":0", o)
	if err != nil {
		return err
	}
	s.publishToGroup(func(message []byte) error {
		select {
		case conn.Send() <- chanio.Packet{Addr: group, Data: slices.Clone(message)}:
			return nil
		case <-conn.Done():
			return chanio.ErrClosed
		}
	})
	return nil
}
