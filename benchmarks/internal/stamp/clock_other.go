//go:build !linux

package stamp

import "time"

// now returns nanoseconds of the wall clock: package time keeps its monotonic
// clock to the process.
func now() int64 { return time.Now().UnixNano() }
