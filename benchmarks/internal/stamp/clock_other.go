//go:build !linux

package stamp

import "time"

// now returns nanoseconds of the wall clock: package time's monotonic clock is
// per process.
func now() int64 { return time.Now().UnixNano() }
