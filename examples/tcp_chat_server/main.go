// Tcp_chat_server is a chat room over TCP: all clients hear what one says, and
// a client that says "!" is disconnected. Its argument is the port (1111). A
// typed line goes to everyone, "!" restarts the server, and an empty line, the
// end of the input or Ctrl-C stops it.
package main

import (
	"example.com/chanio"
	"example.com/chanio/examples/internal/chat"
	"example.com/chanio/examples/internal/console"
)

func main() {
	args := console.Args(console.ListenPort("Server port", "1111"))
	console.Exit(chat.Serve(console.Lines(), "tcp", ":"+args[0], chanio.Options{}))
}
