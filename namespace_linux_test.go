package chanio

import (
	"errors"
	"fmt"
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

// veth makes two hosts that share a link, whose interfaces are both called
// v0, with the addresses 10.7.7.1 and fd07::1, and 10.7.7.2 and fd07::2. The
// test's goroutine moves to the first; there runs what it is given on the second.
func veth(t testing.TB) (there func(func())) {
	t.Helper()
	inNamespace(t, "ip link set lo up; ip link add name v0 type veth peer name v1")
	thread := make(chan int)
	work := make(chan func())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		runtime.LockOSThread() // and never unlocked
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
	run := func(setup string) error {
		out, err := exec.Command("sh", "-ec", setup).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	}
	err := run(fmt.Sprintf("ip link set v1 netns %d", <-thread))
	there(func() { err = errors.Join(err, run("ip link set v1 name v0"), run(fmt.Sprintf(up, 2))) })
	if err = errors.Join(err, run(fmt.Sprintf(up, 1))); err != nil {
		t.Skipf("can't make a veth pair: %v", err)
	}
	return there
}
