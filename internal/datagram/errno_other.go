//go:build !unix && !windows

package datagram

// There is no way to know what an error is about.
func refusal(error, bool) bool { return false }
func undelivered(error) bool   { return false }
func tooBig(error) bool        { return false }
func passes(error) bool        { return false }
func refusesSource(error) bool { return false }
