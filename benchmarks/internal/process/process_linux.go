package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
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
	u.Resident = statusBytes(status, "VmRSS:")
	u.Peak = statusBytes(status, "VmHWM:")
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
func statusBytes(status []byte, name string) int64 {
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			if f := bytes.Fields(rest); len(f) > 0 {
				n, _ := strconv.ParseInt(string(f[0]), 10, 64)
				return n << 10
			}
		}
	}
	return 0
}

// Pin moves this process to one CPU: all its current threads, from which future
// threads inherit the affinity.
func Pin(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil {
			return fmt.Errorf("pin to CPU %d: %w", cpu, err)
		}
	}
	return nil
}
