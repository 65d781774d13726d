package chanio

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"

	"example.com/chanio/internal/proxyproto"
)

// trustsProxy reports an error unless whoever has that address may send a PROXY
// header. A unix socket's peers have no address: its file says who may connect.
func (set *settings) trustsProxy(from net.Addr) error {
	if len(set.ProxyFrom) == 0 || from != nil && from.Network() == "unix" {
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
	if tc, ok := conn.(*tls.Conn); ok { // of a listener that speaks TLS: it has not begun
		conn = tc.NetConn()
	}
	return proxyproto.Read(conn)
}

// setAddresses makes t's addresses those that a proxy has told.
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

// checkPrefixes reports the first prefix that is none.
func checkPrefixes(prefixes []netip.Prefix) error {
	for i, p := range prefixes {
		if !p.IsValid() || p.Addr().Is4In6() {
			return fmt.Errorf("chanio: option ProxyFrom[%d] = %v is no prefix of IPv4 or IPv6", i, p)
		}
	}
	return nil
}
