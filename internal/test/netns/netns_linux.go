// Package netns moves tests into their own network namespaces, whose routes,
// links and limits they may break. Only tests import it.
package netns

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Enter moves the test's goroutine into a new network namespace and runs setup,
// a shell script, in it. Whatever the goroutine opens or starts is in that
// namespace. If that is not possible, Enter skips the test.
func Enter(t testing.TB, setup string) {
	t.Helper()
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		t.Skipf("no network namespaces here: %v", err)
	}
	if err := Run(setup); err != nil {
		t.Skipf("can't set up a network namespace: %v", err)
	}
}

// Run runs a shell script in the calling goroutine's namespace.
func Run(script string) error {
	out, err := exec.Command("sh", "-ec", script).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// Veth makes two hosts that share a link. Both hosts' interfaces are called v0,
// with the addresses 10.7.7.1 and fd07::1, and 10.7.7.2 and fd07::2. The test's
// goroutine moves to the first host; there runs a function on the second.
func Veth(t testing.TB) (there func(func())) {
	t.Helper()
	Enter(t, "ip link set lo up; ip link add name v0 type veth peer name v1")
	thread := make(chan int)
	work := make(chan func())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		runtime.LockOSThread() // never unlocked
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
		}
		thread <- unix.Gettid()
		for f := range work {
			f()
		}
	}()
	t.Cleanup(func() { close(work); <-gone })
	there = func(f func()) {
		done := make(chan struct{})
		work <- func() { defer close(done); f() }
		<-done
	}

	const up = `
		echo 0 > /proc/sys/net/ipv6/conf/v0/accept_dad
		ip addr add 10.7.7.%[1]d/24 dev v0
		ip -6 addr add fd07::%[1]d/64 dev v0 nodad
		ip link set lo up
		ip link set v0 up
		ip -6 route add multicast ff00::/8 dev v0 table local` // which the kernel adds too, in its own time
	err := Run(fmt.Sprintf("ip link set v1 netns %d", <-thread))
	there(func() { err = errors.Join(err, Run("ip link set v1 name v0"), Run(fmt.Sprintf(up, 2))) })
	if err = errors.Join(err, Run(fmt.Sprintf(up, 1))); err != nil {
		t.Skipf("can't make a veth pair: %v", err)
	}
	return there
}
