//go:build !unix && !windows

package datagram

// What an error is about there is no way to know.
func refusal(error, bool) bool { return false }
func undelivered(error) bool   { return false }
func tooBig(error) bool        { return false }
func passes(error) bool        { return false }
func refusesSource(error) bool { return false }
