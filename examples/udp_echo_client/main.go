// Udp_echo_client sends each typed line as a datagram and prints those that
// come back. Its arguments are the server's address (127.0.0.1) and port
// (3333). "!" reconnects, which means that it sends from another port from then
// on. An empty line, the end of the input or Ctrl-C stops the client.
package main

import (
	"net"

	"example.com/chanio"
	"example.com/chanio/examples/internal/chat"
	"example.com/chanio/examples/internal/console"
)

func main() {
	args := console.Args(console.Host("Server address", "127.0.0.1"), console.Port("Server port", "3333"))
	console.Exit(chat.Connect(console.Lines(), "udp", net.JoinHostPort(args[0], args[1]), chanio.Options{}))
}
