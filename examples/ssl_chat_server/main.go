// Ssl_chat_server is tcp_chat_server over TLS, 1.2 and up, with the test
// certificate. Run it from the repository's root. Its argument is the port
// (2222). A typed line goes to everybody, "!" restarts the server, and an empty
// line, the end of the input or Ctrl-C stops it.
package main

import (
	"example.com/chanio"
	"example.com/chanio/examples/internal/chat"
	"example.com/chanio/examples/internal/console"
)

func main() {
	args := console.Args(console.ListenPort("Server port", "2222"))
	config, err := chanio.ServerTLS("testdata/server.crt", "testdata/server.key")
	if err != nil {
		console.Exit(err)
	}
	console.Exit(chat.Serve(console.Lines(), "tcp", ":"+args[0], chanio.Options{
		Framing: chanio.Lines{},
		TLS:     config,
	}))
}
