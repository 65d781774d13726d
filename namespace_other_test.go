//go:build !linux

package chanio_test

import (
	"net"
	"testing"
)

// withMulticast6 skips the test where the loopback interface has no route for
// IPv6 multicast.
func withMulticast6(t testing.TB) {
	t.Helper()
	conn, err := net.Dial("udp6", "[ff02::1%"+loopbackInterface(t).Name+"]:9")
	if err != nil {
		t.Skipf("no IPv6 multicast here: %v", err)
	}
	conn.Close()
}
