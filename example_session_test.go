package chanio_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"time"

	"example.com/chanio"
)

// Each side ends its own output: the client asks, says that it has no more
// questions, and listens until the server has answered all.
func ExampleSession() {
	ctx := context.Background()
	l := echoServer(ctx)
	defer l.Close()
	s, err := chanio.Dial(ctx, "tcp", l.Addr().String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	for i := range 3 {
		fmt.Fprintf(s, "question %d\n", i) // a session is an io.Writer
	}
	s.CloseWrite()
	for m := range s.Recv() { // in how many pieces, the network decides
		fmt.Printf("%s", m)
	}
	<-s.Done()
	fmt.Println("clean end:", s.Err() == nil)
	// Output:
	// question 0
	// question 1
	// question 2
	// clean end: true
}

// The session's context is cancelled with the cause of the session's end.
func ExampleSession_Context() {
	ctx := context.Background()
	l := echoServer(ctx)
	defer l.Close()
	s, err := chanio.Dial(ctx, "tcp", l.Addr().String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	handling := s.Context()
	s.Abort(errors.New("the user has logged out"))
	<-handling.Done()
	fmt.Println(context.Cause(handling))
	fmt.Println(errors.Is(s.Put([]byte("too late")), chanio.ErrClosed))
	// Output:
	// the user has logged out
	// true
}

// Accepted is not delivered: Flush waits until everything is in the kernel.
func ExampleSession_Flush() {
	ctx := context.Background()
	l := echoServer(ctx)
	defer l.Close()
	s, err := chanio.Dial(ctx, "tcp", l.Addr().String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	for range 100 {
		s.Write([]byte("twenty-five bytes of data"))
	}
	fmt.Println(s.Flush(ctx), s.Stats().BytesSent)
	// Output: <nil> 2500
}

// Code that wants a net.Conn gets one.
func ExampleSession_NetConn() {
	ctx := context.Background()
	l := echoServer(ctx)
	defer l.Close()
	s, err := chanio.Dial(ctx, "tcp", l.Addr().String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	conn := s.NetConn()
	defer conn.Close()

	io.WriteString(conn, "one line\nand another")
	line, err := bufio.NewReader(conn).ReadString('\n')
	fmt.Printf("%q %v\n", line, err)

	conn.SetReadDeadline(time.Now())
	_, err = conn.Read(make([]byte, 1))
	fmt.Println(errors.Is(err, os.ErrDeadlineExceeded))
	// Output:
	// "one line\n" <nil>
	// true
}

// Any connection can become a session.
func ExampleNewSession() {
	ours, theirs := net.Pipe()
	s := chanio.NewSession(context.Background(), ours, nil)
	go io.Copy(theirs, strings.NewReader("through a pipe"))
	fmt.Printf("%s\n", <-s.Recv())
	s.Close()
	// Output: through a pipe
}
