// Service runs functions from two Dispatch and two Post calls, each of which
// dispatches and posts one more from inside. The numbers show that an inner
// Dispatch runs at once, and an inner Post later, after everything queued
// before.
package main

import (
	"context"
	"errors"
	"fmt"

	"example.com/chanio"
	"example.com/chanio/examples/internal/console"
)

func main() {
	console.Args()
	console.Exit(run(context.Background()))
}

func run(ctx context.Context) error {
	service := chanio.NewService(ctx, nil)
	queued := make(chan struct{})
	err := errors.Join(
		service.Post(func(context.Context) { <-queued }), // so that all four are queued before the first runs
		service.Dispatch(ctx, function(service, 1, "dispatched")),
		service.Post(function(service, 2, "posted")),
		service.Dispatch(ctx, function(service, 3, "dispatched")),
		service.Post(function(service, 4, "posted")),
	)
	close(queued)
	return errors.Join(err, service.Shutdown(ctx)) // which runs all that was accepted
}

// function returns one that says what it is, posts another, dispatches another,
// and says that it ends.
func function(service *chanio.Service, number int, how string) func(ctx context.Context) {
	return func(ctx context.Context) {
		fmt.Println(number, how, "by main")
		err := errors.Join(
			service.Post(func(context.Context) {
				fmt.Printf("%d.2 posted by %d\n", number, number)
			}),
			service.Dispatch(ctx, func(context.Context) {
				fmt.Printf("%d.1 dispatched by %d\n", number, number)
			}),
		)
		if err != nil {
			fmt.Println(err)
		}
		fmt.Println(number, "ends")
	}
}
