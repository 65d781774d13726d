package natsroom_test

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	"example.com/chanio"
	"example.com/chanio/natsroom"
	"example.com/chanio/natsroom/embedded"
)

// Two nodes, normally two processes, have one room: the members of both hear
// what either publishes.
func ExampleJoin() {
	ctx := context.Background()
	server, err := embedded.Start(ctx, nil) // or use your own
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	for _, node := range []string{"first", "second"} {
		nc, err := server.Connect() // nats.Connect(url) on another machine
		if err != nil {
			log.Fatal(err)
		}
		defer nc.Close()
		hub := chanio.NewHub(ctx, nil)
		defer hub.Close()
		room, err := natsroom.Join(ctx, nc, "lobby", hub, nil)
		if err != nil {
			log.Fatal(err)
		}
		defer room.Close()

		conn, peer := net.Pipe() // instead of a listener's session
		session := chanio.NewSession(ctx, conn, nil)
		defer session.Close()
		if err := hub.Join(session); err != nil {
			log.Fatal(err)
		}
		if node == "first" {
			defer printLine(peer)
			continue
		}
		go func() {
			defer peer.Close()
			bufio.NewReader(peer).ReadString('\n')
		}()
		if err := room.Publish([]byte("hello from the second node\n")); err != nil {
			log.Fatal(err)
		}
		if err := room.Flush(ctx); err != nil {
			log.Fatal(err)
		}
	}
	// Output: hello from the second node
}

func printLine(conn net.Conn) {
	line, _ := bufio.NewReader(conn).ReadString('\n')
	fmt.Print(line)
	conn.Close()
}

// A room with a history: a late member gets the past messages and then the new
// ones, without a gap or a repetition in between.
func ExampleRoom_Replay() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "rooms")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	server, err := embedded.Start(ctx, &embedded.Options{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	nc, err := server.Connect()
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	hub := chanio.NewHub(ctx, nil)
	defer hub.Close()
	room, err := natsroom.Join(ctx, nc, "lobby", hub, &natsroom.Options{History: &natsroom.History{}})
	if err != nil {
		log.Fatal(err)
	}
	defer room.Close()
	for _, line := range []string{"one\n", "two\n", "three\n"} {
		if err := room.Publish([]byte(line)); err != nil {
			log.Fatal(err)
		}
	}
	if err := room.Flush(ctx); err != nil {
		log.Fatal(err)
	}

	conn, peer := net.Pipe()
	session := chanio.NewSession(ctx, conn, nil)
	go func() {
		if err := room.Replay(session, 2, time.Time{}); err != nil { // instead of hub.Join
			log.Print(err)
			return
		}
		if err := room.Publish([]byte("welcome\n")); err != nil {
			log.Print(err)
		}
	}()
	lines := bufio.NewScanner(peer)
	for range 3 {
		lines.Scan()
		fmt.Println(lines.Text())
	}
	peer.Close()
	session.Abort(nil)
	// Output:
	// two
	// three
	// welcome
}
