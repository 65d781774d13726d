package ws_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"example.com/chanio/ws"
)

// A chat for browsers: everyone hears what one says.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h := ws.NewHandler(ctx, &ws.Options{Text: true})
	server := httptest.NewServer(h) // or http.Handle("/chat", h)
	defer server.Close()
	go func() {
		for s := range h.Listener().Sessions() {
			go func() {
				defer s.Close()
				name := ws.Request(s).URL.Query().Get("name")
				for m := range s.Recv() {
					h.Listener().Multicast(fmt.Appendf(nil, "%s: %s", name, m))
				}
			}()
		}
	}()

	s, err := ws.Dial(ctx, "ws"+server.URL[4:]+"/chat?name=Ada", &ws.Options{Text: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := s.Put([]byte("hello")); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", <-s.Recv())
	// Output: Ada: hello
}

// A handler turns a client away with a code and a reason of its own.
func ExampleCloseWith() {
	h := ws.NewHandler(context.Background(), nil)
	defer h.Listener().Close()
	server := httptest.NewServer(http.HandlerFunc(h.ServeHTTP))
	defer server.Close()
	go func() {
		for s := range h.Listener().Sessions() {
			ws.CloseWith(s, 4001, "no seat is free")
		}
	}()

	s, err := ws.Dial(context.Background(), "ws"+server.URL[4:], nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range s.Recv() {
	}
	s.Close()
	e, _ := ws.PeerClose(s)
	fmt.Println(e.Code, e.Reason)
	// Output: 4001 no seat is free
}
