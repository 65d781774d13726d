package chanio_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"example.com/chanio"
)

// Rooms are hubs. A session may be in any number of them, and leaves all of
// them when it ends.
func ExampleHub() {
	ctx := context.Background()
	lines := &chanio.Options{Framing: chanio.Lines{}, ManualJoin: true}
	l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", lines)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	lobby, garden := chanio.NewHub(ctx, lines), chanio.NewHub(ctx, lines)
	defer lobby.Close()
	defer garden.Close()

	join := func(rooms ...*chanio.Hub) (client *chanio.Session) {
		client, err := chanio.Dial(ctx, "tcp", l.Addr().String(), lines)
		if err != nil {
			log.Fatal(err)
		}
		member := <-l.Sessions()
		for _, room := range rooms {
			if err := room.Join(member); err != nil {
				log.Fatal(err)
			}
		}
		return client
	}
	alice, bob := join(lobby), join(lobby, garden)

	lobby.Multicast([]byte("lobby: the tea is ready"))
	fmt.Printf("Alice reads %s\n", <-alice.Recv())
	fmt.Printf("Bob reads %s\n", <-bob.Recv())
	garden.Multicast([]byte("garden: the sun is out"))
	fmt.Printf("Bob reads %s\n", <-bob.Recv())
	fmt.Println(lobby.Len(), "in the lobby,", garden.Len(), "in the garden")
	// Output:
	// Alice reads lobby: the tea is ready
	// Bob reads lobby: the tea is ready
	// Bob reads garden: the sun is out
	// 2 in the lobby, 1 in the garden
}

// The channel of a hub is for loops that select.
func ExampleHub_Send() {
	ctx := context.Background()
	l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	client, _ := meet(ctx, l)
	select {
	case l.Hub().Send() <- []byte("to whom it may concern"):
	case <-l.Done():
	}
	fmt.Printf("%s\n", <-client.Recv())
	// Output: to whom it may concern
}

// Flush returns when all members have got what was published, as far as the
// kernel. Stats counts each of them.
func ExampleHub_Flush() {
	ctx := context.Background()
	l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	for range 3 {
		client, _ := meet(ctx, l)
		defer client.Close()
	}
	for range 5 {
		l.Multicast([]byte("test"))
	}
	fmt.Println(l.Hub().Flush(ctx))
	st := l.Hub().Stats()
	fmt.Println(st.Sessions, "members,", st.BytesReceived, "bytes in,", st.BytesSent, "bytes out")
	// Output:
	// <nil>
	// 3 members, 20 bytes in, 60 bytes out
}

// A member that falls behind delays no other. The hub's policy decides what
// becomes of it: here it ends, and a client would connect again.
func ExampleLagPolicy() {
	ctx := context.Background()
	l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", &chanio.Options{ManualJoin: true})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	room := chanio.NewHub(ctx, &chanio.Options{
		Lag:    chanio.LagDisconnect,
		MaxLag: 1 << 20,
		// There is no other member, so publishing waits this long for one that
		// keeps up.
		WriteTimeout: 100 * time.Millisecond,
	})
	defer room.Close()

	client, slow := meet(ctx, l)
	defer client.Abort(nil) // until then it receives nothing
	if err := room.Join(slow); err != nil {
		log.Fatal(err)
	}
	news := make([]byte, 64<<10)
	for slow.Err() == nil {
		room.Multicast(news)
	}
	fmt.Println(errors.Is(slow.Err(), chanio.ErrLagged))
	// Output: true
}
