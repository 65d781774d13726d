// Ssl_chat_client is tcp_chat_client over TLS: it talks to a server whose
// certificate is from the test CA. Its arguments are the server's address
// (127.0.0.1) and port (2222). A typed line is sent, "!" reconnects, and an
// empty line, the end of the input or Ctrl-C stops the client.
package main

import (
	"net"

	"example.com/chanio"
	"example.com/chanio/examples/internal/chat"
	"example.com/chanio/examples/internal/console"
	"example.com/chanio/testdata"
)

func main() {
	args := console.Args(console.Host("Server address", "127.0.0.1"), console.Port("Server port", "2222"))
	config, err := testdata.ClientTLS() // for your own CA use chanio.ClientTLS
	if err != nil {
		console.Exit(err)
	}
	console.Exit(chat.Connect(console.Lines(), "tcp", net.JoinHostPort(args[0], args[1]), chanio.Options{TLS: config}))
}
