package compare

import (
	"bytes"
	"os"
	"runtime"
)

// Machine says where figures come from.
type Machine struct {
	System string `json:"system"`
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Kernel string `json:"kernel,omitempty"`
	Go     string `json:"go"`
}

func thisMachine() Machine {
	return Machine{
		System: runtime.GOOS + "/" + runtime.GOARCH,
		CPU:    processor(),
		CPUs:   runtime.NumCPU(),
		Kernel: kernel(),
		Go:     runtime.Version(),
	}
}

// processor returns the CPU's name, where Linux tells it.
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

func kernel() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(release))
}
