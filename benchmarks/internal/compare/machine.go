package compare

import (
	"bytes"
	"os"
	"runtime"
)

// Machine describes where figures were measured.
type Machine struct {
	System string `json:"system"`
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Kernel string `json:"kernel,omitempty"`
	Go     string `json:"go"`
	Load   string `json:"load,omitempty"` // the load averages before the run
}

func thisMachine() Machine {
	return Machine{
		System: runtime.GOOS + "/" + runtime.GOARCH,
		CPU:    processor(),
		CPUs:   runtime.NumCPU(),
		Kernel: kernel(),
		Go:     runtime.Version(),
		Load:   loadAverages(),
	}
}

// processor returns the CPU's name if Linux reports it.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range bytes.Lines(info) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && string(bytes.TrimSpace(name)) == "model name" {
			return string(bytes.TrimSpace(value))
		}
	}
	return runtime.GOARCH
}

// loadAverages returns the load averages of 1, 5 and 15 minutes if Linux reports
// them. A machine with other work gives poor figures.
func loadAverages() string {
	all, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	fields := bytes.Fields(all)
	return string(bytes.Join(fields[:min(3, len(fields))], []byte(" ")))
}

func kernel() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(release))
}
