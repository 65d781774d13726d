package chaniotest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

// echo is the handler that the examples test.
func echo(s *chanio.Session) {
	defer s.Close()
	for m := range s.Recv() {
		if err := s.Put(m); err != nil {
			return
		}
	}
}

// TestEchoHandler shows how a program tests a handler: here one of the
// package's own documentation, over a slow link.
func TestEchoHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The link takes half a second each way, and bytes come in pieces of up to
		// three.
		path := chaniotest.Path{Latency: 500 * time.Millisecond, Fragment: 3}
		link := &chaniotest.Link{Seed: 1, Up: path, Down: path}
		client, server := chaniotest.Sessions(t.Context(), link, &chanio.Options{Framing: chanio.Lines{}})
		go echo(server)

		start := time.Now()
		for _, want := range []string{"hello", "how do you do"} {
			client.Put([]byte(want))
			if got := string(<-client.Recv()); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if took := time.Since(start); took != 2*time.Second { // in the bubble's time: it took no real time
			t.Errorf("two round trips took %v", took)
		}
		client.CloseWrite()
		<-client.Done()
		if err := client.Err(); err != nil {
			t.Error(err)
		}
	})
}

// A handler is tested with a session at the other end. In a test this is the
// body of a synctest.Test, where time is the test's own: see the top of this
// page, and TestEchoHandler in this example's file.
func Example_handler() {
	client, server := chaniotest.Sessions(context.Background(), nil, &chanio.Options{Framing: chanio.Lines{}})
	go echo(server)

	client.Put([]byte("hello"))
	fmt.Printf("%s\n", <-client.Recv())
	client.CloseWrite()
	<-server.Done()
	fmt.Println(client.Err(), server.Err())
	// Output:
	// hello
	// <nil> <nil>
}

// The connection breaks in the middle of the second message.
func ExampleFault_reset() {
	link := &chaniotest.Link{Up: chaniotest.Path{
		Faults: []chaniotest.Fault{{Kind: chaniotest.Reset, At: int64(len("one\ntw"))}},
	}}
	client, server := chaniotest.Sessions(context.Background(), link, &chanio.Options{Framing: chanio.Lines{}})
	defer client.Close()

	client.Put([]byte("one"))
	client.Put([]byte("two"))
	for m := range server.Recv() {
		fmt.Printf("%s\n", m)
	}
	fmt.Println(errors.Is(server.Err(), syscall.ECONNRESET))
	// Output:
	// one
	// true
}

// A message is cut short at each of its bytes.
func ExampleFault_eof() {
	o := &chanio.Options{Framing: chanio.LengthPrefix{Size: 2}}
	frame := "\x00\x03abc"
	for at := range len(frame) + 1 {
		client, conn := chaniotest.Pipe(&chaniotest.Link{Up: chaniotest.Path{
			Faults: []chaniotest.Fault{{Kind: chaniotest.EOF, At: int64(at)}},
		}})
		server := chanio.NewSession(context.Background(), conn, o)
		io.WriteString(client, frame)
		m, ok := <-server.Recv()
		fmt.Printf("%d bytes: %q %v, truncated: %v\n", at, m, ok, errors.Is(server.Err(), io.ErrUnexpectedEOF))
		server.Close()
		client.Close()
	}
	// Output:
	// 0 bytes: "" false, truncated: false
	// 1 bytes: "" false, truncated: true
	// 2 bytes: "" false, truncated: true
	// 3 bytes: "" false, truncated: true
	// 4 bytes: "" false, truncated: true
	// 5 bytes: "abc" true, truncated: false
}

// A server gets connections of all kinds: here a good one, and one whose client
// is cut off in its second message.
func ExampleListener() {
	ln := chaniotest.NewListener()
	l := chanio.Serve(context.Background(), ln, &chanio.Options{Framing: chanio.Lines{}})
	defer l.Close()
	go func() {
		for s := range l.Sessions() {
			go echo(s)
		}
	}()

	// The second line is cut, and half a line is no message.
	cut := chaniotest.Path{Faults: []chaniotest.Fault{{Kind: chaniotest.EOF, At: 6}}}
	for _, link := range []*chaniotest.Link{nil, {Up: cut}} {
		conn, err := ln.Dial(context.Background(), link)
		if err != nil {
			fmt.Println(err)
			return
		}
		io.WriteString(conn, "hi\nhow are you\n")
		conn.CloseWrite()
		answer, err := io.ReadAll(conn)
		fmt.Printf("%q %v\n", answer, err)
		conn.Close()
	}
	// Output:
	// "hi\nhow are you\n" <nil>
	// "hi\n" <nil>
}
