// Package sockopt sets the socket options that decide who may share an
// address. They have to be set between socket and bind, so the functions take
// what a [net.ListenConfig] Control function gets.
//
// Where a system lacks an option the error is [errors.ErrUnsupported].
package sockopt
