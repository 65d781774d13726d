package chanio_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"

	"example.com/chanio"
)

// A server's life as its events tell it.
func ExampleEventKind() {
	ctx := context.Background()
	config, err := chanio.ServerTLS("testdata/server.crt", "testdata/server.key")
	if err != nil {
		log.Fatal(err)
	}
	l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", &chanio.Options{TLS: config})
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		trusting, err := chanio.ClientTLS("testdata/ca.crt")
		if err != nil {
			log.Fatal(err)
		}
		client, err := chanio.Dial(ctx, "tcp", l.Addr().String(), &chanio.Options{TLS: trusting})
		if err != nil {
			log.Fatal(err)
		}
		client.Close()
	}()
	go echo(<-l.Sessions())

	for e := range l.Events() {
		switch e.Kind {
		case chanio.EventStarted:
			fmt.Println("listening")
		case chanio.EventConnected:
			fmt.Println("somebody came,")
		case chanio.EventHandshaked:
			fmt.Println("spoke TLS,")
		case chanio.EventDisconnected:
			fmt.Println("and left:", e.Err)
			l.Close()
		case chanio.EventFailed:
			fmt.Println("failed:", e.Err)
		case chanio.EventStopped:
			fmt.Println("stopped:", e.Err)
		}
	}
	// Output:
	// listening
	// somebody came,
	// spoke TLS,
	// and left: <nil>
	// stopped: <nil>
}

// A hub may drop messages for which a member is too slow, and tells how many
// those were.
func ExampleHub_Events() {
	ctx := context.Background()
	l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", &chanio.Options{ManualJoin: true})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	hub := chanio.NewHub(ctx, &chanio.Options{Lag: chanio.LagDrop, MaxLag: 1 << 20})
	client, slow := meet(ctx, l)
	defer client.Abort(nil) // until then it receives nothing
	if err := hub.Join(slow); err != nil {
		log.Fatal(err)
	}
	news := make([]byte, 64<<10)
	for hub.Stats().MessagesDropped == 0 {
		hub.Multicast(news)
	}
	for s := range hub.All() {
		hub.Leave(s)
	}
	hub.Close()

	skipped := 0
	for e := range hub.Events() {
		switch e.Kind {
		case chanio.EventJoined:
			fmt.Println("joined:", e.Session == slow)
		case chanio.EventLagged:
			skipped += e.Count
		case chanio.EventLeft:
			fmt.Println("left after it had missed some:", skipped > 0)
		}
	}
	// Output:
	// joined: true
	// left after it had missed some: true
}

// Every session is told, one by one, and has to go.
func ExampleListener_All() {
	ctx := context.Background()
	l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	alice, _ := meet(ctx, l)
	bob, _ := meet(ctx, l)

	for s := range l.All() {
		s.Put([]byte("we are closing"))
		s.Flush(ctx)
	}
	fmt.Printf("%s, Alice; %s, Bob\n", <-alice.Recv(), <-bob.Recv())
	l.DisconnectAll()
	fmt.Println(l.Len(), "left")
	// Output:
	// we are closing, Alice; we are closing, Bob
	// 0 left
}

// What a peer can make the library hold is bounded, and Err names the bound.
func Example_limits() {
	o := &chanio.Options{Framing: chanio.Delimiter{}, MaxMessage: 10}
	ours, theirs := net.Pipe()
	s := chanio.NewSession(context.Background(), ours, o)
	go theirs.Write([]byte("short\x00and one that is too long\x00"))
	for m := range s.Recv() {
		fmt.Printf("%s\n", m)
	}
	fmt.Println(errors.Is(s.Err(), chanio.ErrMessageTooLarge))
	s.Close() // a server may send a last answer before
	// Output:
	// short
	// true
}

// A udp listener makes room for new peers at the cost of the one that was
// silent for longest.
func Example_tooManyPeers() {
	ctx := context.Background()
	l, err := chanio.Listen(ctx, "udp", "127.0.0.1:0", &chanio.Options{MaxSessions: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	var sessions []*chanio.Session
	for range 2 {
		client, err := chanio.Dial(ctx, "udp", l.Addr().String(), nil)
		if err != nil {
			log.Fatal(err)
		}
		defer client.Close()
		client.Put([]byte("hello"))
		sessions = append(sessions, <-l.Sessions())
	}
	<-sessions[0].Done()
	fmt.Println(errors.Is(sessions[0].Err(), chanio.ErrTooManySessions), sessions[1].Err())
	// Output: true <nil>
}
