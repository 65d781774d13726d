// Tcp_chat_client talks to tcp_chat_server, or to any server of text, and
// reconnects a second after losing it. Its arguments are the server's address
// (127.0.0.1) and port (1111). A typed line is sent, "!" reconnects, and an
// empty line, the end of the input or Ctrl-C stops the client.
package main

import (
	"net"

	"example.com/chanio"
	"example.com/chanio/examples/internal/chat"
	"example.com/chanio/examples/internal/console"
)

func main() {
	args := console.Args(console.Host("Server address", "127.0.0.1"), console.Port("Server port", "1111"))
	console.Exit(chat.Connect(console.Lines(), "tcp", net.JoinHostPort(args[0], args[1]), chanio.Options{}))
}
