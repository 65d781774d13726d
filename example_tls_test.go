package chanio_test

import (
	"context"
	"fmt"
	"log"

	"example.com/chanio"
)

// A server and a client of TLS: their session is used like any other.
func ExampleServerTLS() {
	ctx := context.Background()
	server, err := chanio.ServerTLS("testdata/server.crt", "testdata/server.key")
	if err != nil {
		log.Fatal(err)
	}
	l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", &chanio.Options{TLS: server})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go func() {
		for s := range l.Sessions() { // each after its handshake
			go echo(s)
		}
	}()

	client, err := chanio.ClientTLS("testdata/ca.crt")
	if err != nil {
		log.Fatal(err)
	}
	s, err := chanio.Dial(ctx, "tcp", l.Addr().String(), &chanio.Options{TLS: client})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	s.Put([]byte("hello"))
	fmt.Printf("%s\n", <-s.Recv())
	// Output: hello
}

// A server that knows its clients by their certificates.
func ExampleMutualServerTLS() {
	ctx := context.Background()
	server, err := chanio.MutualServerTLS("testdata/server.crt", "testdata/server.key", "testdata/ca.crt")
	if err != nil {
		log.Fatal(err)
	}
	l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", &chanio.Options{TLS: server})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()

	client, err := chanio.MutualClientTLS("testdata/ca.crt", "testdata/client.crt", "testdata/client.key")
	if err != nil {
		log.Fatal(err)
	}
	s, err := chanio.Dial(ctx, "tcp", l.Addr().String(), &chanio.Options{TLS: client})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	state, _ := (<-l.Sessions()).TLS()
	fmt.Println(state.PeerCertificates[0].DNSNames)
	// Output: [client.example.com]
}
