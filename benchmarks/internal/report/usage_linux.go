package report

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Usage returns what process pid has used up so far. It asks the process's own
// CPU clock, which counts nanoseconds where /proc/PID/stat counts ticks of 10 ms,
// and reads its memory from /proc because getrusage's peak is inherited over
// exec from the process that started it.
func Usage(pid int) (Used, error) {
	var u Used
	var t unix.Timespec
	if err := unix.ClockGettime(cpuClock(pid), &t); err != nil {
		return u, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	u.CPU = time.Duration(t.Nano())
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	u.Resident = statusBytes(string(status), "VmRSS:")
	u.Peak = statusBytes(string(status), "VmHWM:")
	return u, nil
}

// cpuClock is clock_getcpuclockid(3), which on Linux combines the process id and
// CPUCLOCK_SCHED.
func cpuClock(pid int) int32 {
	const sched = 2
	return int32(^pid<<3 | sched)
}

// statusBytes returns the value of a line of /proc/PID/status in kB as bytes, or
// 0 if there is no such line.
func statusBytes(status, name string) int64 {
	_, rest, _ := strings.Cut(status, name)
	var n int64
	_, _ = fmt.Sscan(rest, &n)
	return n << 10
}
