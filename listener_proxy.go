package chanio

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"

	"example.com/chanio/internal/proxyproto"
)

// trustsProxy returns an error unless from may send a PROXY header. Peers on a
// unix socket have no address: its file's permissions control who may connect.
func (set *settings) trustsProxy(from net.Addr) error {
	if len(set.ProxyFrom) == 0 || from != nil && isUnix(from.Network()) {
		return nil
	}
	host := hostOf(from).WithZone("")
	for _, prefix := range set.ProxyFrom {
		if prefix.Contains(host) {
			return nil
		}
	}
	return fmt.Errorf("its address is not in ProxyFrom")
}

// readProxy reads the PROXY header that comes before anything else on conn.
func readProxy(conn net.Conn) (proxyproto.Header, error) {
	if tc, ok := conn.(*tls.Conn); ok { // from a TLS listener: the handshake has not begun
		conn = tc.NetConn()
	}
	return proxyproto.Read(conn)
}

// setAddresses gives t the addresses that a proxy reported.
func setAddresses(t transport, h proxyproto.Header) {
	if h.Source == nil {
		return
	}
	var s *stream
	switch t := t.(type) {
	case *stream:
		s = t
	case *tlsStream:
		s = &t.stream
	case *givenTLS:
		s = &t.stream
	}
	s.local, s.remote = h.Destination, h.Source
}

// checkPrefixes reports the first invalid prefix.
func checkPrefixes(prefixes []netip.Prefix) error {
	for i, p := range prefixes {
		if !p.IsValid() || p.Addr().Is4In6() {
			return fmt.Errorf("chanio: option ProxyFrom[%d] = %v is not an IPv4 or IPv6 prefix", i, p)
		}
	}
	return nil
}
