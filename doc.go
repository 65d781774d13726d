// Package chanio is a channel-oriented socket server and client library: TCP,
// TLS, Unix sockets and UDP, used with select and bound to contexts.
package chanio
