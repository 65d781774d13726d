// Package report holds what one run of a load measured, and prints it as
// CppServer's clients do, so that figures can be compared side by side.
package report

import (
	"fmt"
	"io"
	"time"
)

// A Report is the outcome of one run, covering only its measured window.
type Report struct {
	Errors     int64  `json:"errors"`
	FirstError string `json:"first_error,omitempty"`

	Time     time.Duration `json:"time_ns"`
	Bytes    int64         `json:"bytes"`    // received by the clients
	Messages int64         `json:"messages"` // received whole by the clients
	Lost     int64         `json:"lost"`     // datagrams that never came back or never arrived

	Latency *Percentiles `json:"latency,omitempty"` // of a message; nil if it was not measured
	Server  *Usage       `json:"server,omitempty"`  // nil if the server's process is not known
	Load    *Usage       `json:"load,omitempty"`    // of the load program itself
}

// Usage is what a process used up in the measured window.
type Usage struct {
	CPUSeconds float64 `json:"cpu_seconds"`
	PeakBytes  int64   `json:"peak_bytes"` // of resident memory, since the process began
}

// MessageRate returns the messages per second.
func (r *Report) MessageRate() float64 { return perSecond(r.Messages, r.Time) }

// ByteRate returns the bytes per second.
func (r *Report) ByteRate() float64 { return perSecond(r.Bytes, r.Time) }

func perSecond(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// Print writes r as text: CppServer's seven lines first, then what we add.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "Errors: %d\n", r.Errors)
	if r.FirstError != "" {
		fmt.Fprintf(w, "First error: %s\n", r.FirstError)
	}
	fmt.Fprintln(w)
	fmt.Fprintf(w, "Total time: %s\n", Duration(r.Time))
	fmt.Fprintf(w, "Total data: %s\n", Bytes(float64(r.Bytes)))
	fmt.Fprintf(w, "Total messages: %d\n", r.Messages)
	fmt.Fprintf(w, "Data throughput: %s/s\n", Bytes(r.ByteRate()))
	if r.Messages > 0 {
		fmt.Fprintf(w, "Message latency: %s\n", Duration(r.Time/time.Duration(r.Messages)))
		fmt.Fprintf(w, "Message throughput: %.0f msg/s\n", r.MessageRate())
	}
	if r.Latency != nil {
		fmt.Fprintf(w, "\nRound trip: %s\n", r.Latency)
	}
	fmt.Fprintf(w, "Lost datagrams: %d\n", r.Lost)
	printUsage(w, "Server", r.Server)
	printUsage(w, "Load", r.Load)
}

func printUsage(w io.Writer, who string, u *Usage) {
	if u != nil {
		fmt.Fprintf(w, "%s: %.2f CPU s, peak memory %s\n", who, u.CPUSeconds, Bytes(float64(u.PeakBytes)))
	}
}
