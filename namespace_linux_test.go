package chanio

import (
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// inNamespace moves the test's goroutine to a network namespace of its own, in
// which it runs setup: what the test opens is there. Where it can't it skips.
func inNamespace(t testing.TB, setup string) {
	t.Helper()
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		t.Skipf("no network namespaces here: %v", err)
	}
	if out, err := exec.Command("sh", "-ec", setup).CombinedOutput(); err != nil {
		t.Skipf("can't set up a network namespace: %v: %s", err, out)
	}
}

// withMulticast6 moves the test to where the loopback interface has a route for
// IPv6 multicast, which it has not by default.
func withMulticast6(t testing.TB) {
	t.Helper()
	inNamespace(t, "ip link set lo up; ip -6 route add local ff00::/8 dev lo table local")
}
