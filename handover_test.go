package chanio_test

import (
	"net"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestAListenerReadsNeitherAHeaderNorAHandshakeFromAHandover(t *testing.T) {
	server, _ := testTLS(t)
	for _, test := range []struct {
		name string
		o    chanio.Options
	}{
		{"Options.TLS", chanio.Options{TLS: server}},
		{"Options.ProxyProtocol", chanio.Options{ProxyProtocol: true, ProxyFrom: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}}, // not the peer's
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, ln := serveMem(t, &test.o)
				ln.replace <- func(c net.Conn) net.Conn { return &chanio.Handover{Conn: c, Buffered: []byte("read before")} }
				peer := ln.dial()
				defer peer.Close()
				s, ok := await(t, l.Sessions(), "the session")
				require.True(t, ok)
				require.Equal(t, "read before", string(<-s.Recv()))
				_, hasTLS := s.TLS()
				require.False(t, hasTLS)
			})
		})
	}
}
