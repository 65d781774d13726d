// Package process starts the benchmarks' child processes, reads the usage of
// processes and pins them to a CPU.
package process

import "time"

// Used is what a process has used up.
type Used struct {
	CPU      time.Duration `json:"cpu_ns"`   // user and system
	Resident int64         `json:"resident"` // bytes of memory now
	Peak     int64         `json:"peak"`     // bytes of memory at most, since it began
}
