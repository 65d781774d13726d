package chanio_test

import (
	"context"
	"fmt"
	"log"
	"strconv"

	"example.com/chanio"
)

// An echo server over batches: each batch goes back as it came, without a copy
// and without being framed again.
func ExampleSession_RecvBatch() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o := &chanio.Options{Framing: chanio.Lines{}}
	l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", o)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go func() {
		for s := range l.Sessions() {
			go func() {
				defer s.Close()
				for b := range s.RecvBatch() {
					select {
					case s.SendBatch() <- b:
					case <-s.Done():
					}
				}
			}()
		}
	}()

	s, err := chanio.Dial(ctx, "tcp", l.Addr().String(), o)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	b := chanio.NewBatch()
	for _, line := range []string{"many", "small", "messages"} {
		b.Append([]byte(line))
	}
	if err := s.PutBatch(b); err != nil {
		log.Fatal(err)
	}
	for n := 0; n < 3; {
		b := <-s.RecvBatch()
		for _, m := range b.All() {
			fmt.Println(string(m))
		}
		n += b.Len()
		b.Release()
	}
	// Output:
	// many
	// small
	// messages
}

// A server answers each request, builds its answers in place, and sends them in
// batches as large as those that the requests came in.
func ExampleBatch_AppendFunc() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o := &chanio.Options{Framing: chanio.Lines{}}
	l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", o)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go func() {
		for s := range l.Sessions() {
			go square(s)
		}
	}()

	s, err := chanio.Dial(ctx, "tcp", l.Addr().String(), o)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	for _, request := range []string{"12", "x", "-7"} {
		if _, err := s.Write([]byte(request)); err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(<-s.Recv()))
	}
	// Output:
	// 144
	// error: not a number
	// 49
}

// square answers numbers with their squares until the peer is done.
func square(s *chanio.Session) {
	defer s.Close()
	for requests := range s.RecvBatch() {
		answers := chanio.NewBatch()
		for _, m := range requests.All() {
			answers.AppendFunc(func(dst []byte) []byte {
				n, err := strconv.ParseInt(string(m), 10, 32)
				if err != nil {
					return append(dst, "error: not a number"...)
				}
				return strconv.AppendInt(dst, n*n, 10)
			})
		}
		requests.Release() // its messages are not needed any more
		if err := s.PutBatch(answers); err != nil {
			return
		}
	}
}
