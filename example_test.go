package chanio_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	"example.com/chanio"
)

// An echo server, and a client of it.
func Example() {
	ctx := context.Background()
	l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for s := range l.Sessions() {
			go func() {
				defer s.Close()
				for m := range s.Recv() {
					select {
					case s.Send() <- m:
					case <-s.Done():
					}
				}
			}()
		}
	}()

	s, err := chanio.Dial(ctx, "tcp", l.Addr().String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Put([]byte("hello")); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", <-s.Recv())
	s.Close()
	l.Close()
	// Output: hello
}

// A server waits for everything at once: sessions, events, the time, and the
// signal to stop.
func ExampleListener() {
	ctx, stop := context.WithCancel(context.Background()) // or signal.NotifyContext
	defer stop()
	// The listener's context outlives ctx, so that the listener can be shut down
	// gracefully.
	l, err := chanio.Listen(context.Background(), "tcp", "127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	go visit(l.Addr())

	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	for {
		select {
		case s, ok := <-l.Sessions():
			if !ok {
				fmt.Println("ended:", l.Err())
				return
			}
			go echo(s)
		case e := <-l.Events():
			fmt.Println(e.Kind)
			if e.Kind == chanio.EventDisconnected {
				stop()
			}
		case <-ticker.C:
			fmt.Println(l.Len(), "sessions")
		case <-ctx.Done():
			fmt.Println("shutdown:", l.Shutdown(context.Background()))
			return
		}
	}
	// Output:
	// started
	// connected
	// disconnected
	// shutdown: <nil>
}

// All sessions hear what one of them says.
func ExampleListener_Multicast() {
	ctx := context.Background()
	l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()

	alice, aliceThere := meet(ctx, l)
	bob, _ := meet(ctx, l)
	alice.Put([]byte("hi, I am Alice"))
	if err := l.Multicast(<-aliceThere.Recv()); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Bob hears: %s\n", <-bob.Recv())
	fmt.Printf("Alice hears: %s\n", <-alice.Recv())
	// Output:
	// Bob hears: hi, I am Alice
	// Alice hears: hi, I am Alice
}

// Shutdown lets the handlers finish: the answer in progress gets out.
func ExampleListener_Shutdown() {
	ctx := context.Background()
	l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	client, server := meet(ctx, l)
	go func() {
		defer server.Close()
		for range server.Recv() { // until the shutdown closes it
		}
		server.Put([]byte("goodbye"))
	}()

	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	fmt.Println("shutdown:", l.Shutdown(ctx))
	fmt.Printf("%s\n", <-client.Recv())
	// Output:
	// shutdown: <nil>
	// goodbye
}

// The loop and the handler of a TCP server serve UDP peers, too.
func ExampleListen_udp() {
	ctx := context.Background()
	l, err := chanio.Listen(ctx, "udp", "127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go func() {
		for s := range l.Sessions() { // each with its first datagram
			go echo(s)
		}
	}()

	s, err := chanio.Dial(ctx, "udp", l.Addr().String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	s.Put([]byte("one datagram"))
	fmt.Printf("%s\n", <-s.Recv())
	// Output: one datagram
}

// Anything that accepts connections can be served.
func ExampleServe() {
	ctx := context.Background()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	l := chanio.Serve(ctx, ln, &chanio.Options{MaxSessions: 100})
	go func() {
		for s := range l.Sessions() {
			go echo(s)
		}
	}()
	visit(l.Addr())
	l.Close()
	fmt.Println(l.Stats().Accepted, "session")
	// Output: 1 session
}

// The context is the session's life; DialTimeout bounds the dialing.
func ExampleDial() {
	ctx := context.Background()
	l := echoServer(ctx)
	defer l.Close()

	s, err := chanio.Dial(ctx, "tcp", l.Addr().String(), &chanio.Options{DialTimeout: 3 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	select {
	case s.Send() <- []byte("ping"):
	case <-s.Done():
		log.Fatal(s.Err())
	}
	fmt.Printf("%s\n", <-s.Recv())
	// Output: ping
}

// A client gets another session whenever the one it has ends.
func ExampleConnect() {
	ctx := context.Background()
	l := echoServer(ctx)
	defer l.Close()

	c := chanio.Connect(ctx, "tcp", l.Addr().String(), &chanio.Options{
		Backoff: chanio.Backoff{Min: time.Millisecond, Max: time.Second},
	})
	rounds := 0
	for s := range c.Sessions() {
		s.Put(fmt.Appendf(nil, "round %d", rounds))
		fmt.Printf("%s\n", <-s.Recv())
		if rounds++; rounds == 3 {
			c.Close() // which closes Sessions
		}
		s.Close()
	}
	fmt.Println(c.Err())
	// Output:
	// round 0
	// round 1
	// round 2
	// <nil>
}

// Reconnect ends the current session, and dials without waiting.
func ExampleClient_Reconnect() {
	ctx := context.Background()
	l := echoServer(ctx)
	defer l.Close()
	c := chanio.Connect(ctx, "tcp", l.Addr().String(), &chanio.Options{
		Backoff: chanio.Backoff{Min: time.Hour, Max: time.Hour},
	})
	defer c.Close()

	old := <-c.Sessions()
	c.Reconnect()
	next := <-c.Sessions()
	<-old.Done()
	fmt.Println(old.Err(), next.ID() != old.ID())
	// Output: <nil> true
}

// Options bound what a peer can do. Here it may be silent for a moment only.
func ExampleOptions() {
	o := &chanio.Options{
		IdleTimeout:  10 * time.Millisecond,
		WriteTimeout: 5 * time.Second, // without progress
		MaxSessions:  1000,            // then accepting pauses
		RecvQueue:    1,               // messages; negative: none
	}
	ctx := context.Background()
	l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", o)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	client, server := meet(ctx, l)
	defer client.Close()
	<-server.Done()
	fmt.Println(errors.Is(server.Err(), os.ErrDeadlineExceeded))

	_, err = chanio.Listen(ctx, "tcp", "127.0.0.1:0", &chanio.Options{MaxMessage: -1})
	fmt.Println(err)
	// Output:
	// true
	// chanio: option MaxMessage = -1 can't be negative: a peer would decide how much memory it takes
}

// Events tell what went wrong without ending anything.
func ExampleEvent() {
	ctx := context.Background()
	l := echoServer(ctx)
	l.Close() // so that nothing listens there

	c := chanio.Connect(ctx, "tcp", l.Addr().String(), nil)
	for e := range c.Events() {
		fmt.Println(e.Kind)
		if e.Kind == chanio.EventFailed {
			op, _ := errors.AsType[*net.OpError](e.Err)
			fmt.Println(op.Op, "of the address:", op.Addr.String() == l.Addr().String())
			c.Close()
		}
	}
	// Output:
	// started
	// failed
	// dial of the address: true
	// stopped
}

// Counters are exact once Done is closed.
func ExampleStats() {
	ctx := context.Background()
	l := echoServer(ctx)
	visit(l.Addr())
	l.Close()
	st := l.Stats()
	fmt.Println("accepted", st.Accepted, "live", st.Sessions)
	fmt.Println("received", st.BytesReceived, "sent", st.BytesSent, "lost", st.Undelivered)
	// Output:
	// accepted 1 live 0
	// received 5 sent 5 lost 0
}

// echo is the handler of most examples.
func echo(s *chanio.Session) {
	defer s.Close()
	for m := range s.Recv() {
		if err := s.Put(m); err != nil {
			return
		}
	}
}

// echoServer is the server of most examples; Close ends it.
func echoServer(ctx context.Context) *chanio.Listener {
	l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for s := range l.Sessions() {
			go echo(s)
		}
	}()
	return l
}

// visit says hello to an echo server, hears it back, and leaves.
func visit(addr net.Addr) {
	s, err := chanio.Dial(context.Background(), addr.Network(), addr.String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	s.Put([]byte("hello"))
	<-s.Recv()
	s.Close()
}

// meet returns both ends of a new session of l.
func meet(ctx context.Context, l *chanio.Listener) (client, server *chanio.Session) {
	client, err := chanio.Dial(ctx, l.Addr().Network(), l.Addr().String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	return client, <-l.Sessions()
}
