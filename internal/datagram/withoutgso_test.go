//go:build !linux

package datagram

// withoutGSO has nothing to do where there is none.
func withoutGSO(*Conn) {}
