package chanio_test

import (
	"context"
	"fmt"
	"log"

	"example.com/chanio"
)

// Rooms makes a hub for each key that a session joins. A member's messages go
// to all others in its room.
func ExampleRooms() {
	ctx := context.Background()
	o := &chanio.Options{Framing: chanio.Lines{}}
	l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", o)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	rooms := chanio.NewRooms[string](ctx, o)
	defer rooms.Close()

	go func() {
		for s := range l.Sessions() {
			go func() {
				defer s.Close()
				room := string(<-s.Recv()) // the first line says which
				if rooms.Join(room, s) != nil {
					return
				}
				rooms.Multicast(room, []byte("welcome"))
				for m := range s.Recv() {
					rooms.MulticastExcept(room, m, s)
				}
			}()
		}
	}()

	var clients []*chanio.Session
	for range 2 {
		c, err := chanio.Dial(ctx, "tcp", l.Addr().String(), o)
		if err != nil {
			log.Fatal(err)
		}
		defer c.Abort(nil)
		c.Put([]byte("go"))
		fmt.Printf("%s\n", <-c.Recv())
		clients = append(clients, c)
	}
	<-clients[0].Recv() // the second one's welcome
	clients[1].Put([]byte("hello, gophers"))
	fmt.Printf("%s\n", <-clients[0].Recv())
	fmt.Println(rooms.Len(), "room")
	// Output:
	// welcome
	// welcome
	// hello, gophers
	// 1 room
}
