package stamp

import "golang.org/x/sys/unix"

// now returns nanoseconds of the monotonic clock, which all processes share.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // cannot happen: every Linux has this clock
	}
	return t.Nano()
}
