package chanio_test

import (
	"testing"

	"example.com/chanio/internal/test/netns"
)

// withMulticast6 moves the test to a namespace whose loopback interface has a
// route for IPv6 multicast, which it lacks by default.
func withMulticast6(t testing.TB) {
	t.Helper()
	netns.Enter(t, "ip link set lo up; ip -6 route add local ff00::/8 dev lo table local")
}
