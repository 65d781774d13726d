//go:build !linux

package datagram

// withoutGSO does nothing: there is no GSO.
func withoutGSO(*Conn) {}
