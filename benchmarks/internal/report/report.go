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
	Errors     int64
	FirstError string

	Time     time.Duration
	Bytes    int64 // received by the clients
	Messages int64 // received whole by the clients
	Lost     int64 // datagrams that never came back or never arrived

	Latency Percentiles // of a message; nil if it was not measured
	Server  *Used       // in the window, its peak since it began; nil if it is not known
	Load    *Used       // the load program itself

	Resumed int64 // connections that resumed a TLS session
	Idle    *Idle
}

// Idle is the growth of a server's resident memory, garbage included, in bytes
// for each idle session.
type Idle struct {
	Connected float64 // sessions that never sent anything
	Echoed    float64 // after each has echoed a message once
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
	PrintUsage(w, "Server", r.Server)
	PrintUsage(w, "Load", r.Load)
}

// Used is what a process has used up.
type Used struct {
	CPU      time.Duration // user and system
	Resident int64         // bytes of memory now
	Peak     int64         // bytes of memory at most, since it began
}

// PrintUsage writes what a process has used up, if that is known.
func PrintUsage(w io.Writer, who string, u *Used) {
	if u != nil {
		fmt.Fprintf(w, "%s: %.2f CPU s, peak memory %s\n", who, u.CPU.Seconds(), Bytes(float64(u.Peak)))
	}
}
