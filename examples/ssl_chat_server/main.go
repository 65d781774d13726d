// Ssl_chat_server is tcp_chat_server over TLS, 1.2 and up, with the test
// certificate. Its argument is the port (2222). A typed line goes to everyone,
// "!" restarts the server, and an empty line, the end of the input or Ctrl-C
// stops it.
package main

import (
	"example.com/chanio"
	"example.com/chanio/examples/internal/chat"
	"example.com/chanio/examples/internal/console"
	"example.com/chanio/testdata"
)

func main() {
	args := console.Args(console.ListenPort("Server port", "2222"))
	// A server with certificates of its own uses chanio.ServerTLS, which reads
	// them again when their files change.
	config, err := testdata.ServerTLS()
	if err != nil {
		console.Exit(err)
	}
	console.Exit(chat.Serve(console.Lines(), "tcp", ":"+args[0], chanio.Options{TLS: config}))
}
