// Package process reads what processes use up.
package process

import "time"

// Used is what a process has used up.
type Used struct {
	CPU      time.Duration // user and system
	Resident int64         // bytes of memory now
	Peak     int64         // bytes of memory at most, since it began
}
