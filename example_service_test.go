package chanio_test

import (
	"context"
	"errors"
	"fmt"

	"example.com/chanio"
)

// The functions of one service never run beside each other, so state that only
// they touch needs no lock, however many goroutines post.
func ExampleService() {
	ctx := context.Background()
	service := chanio.NewService(ctx, nil)

	count := map[string]int{}
	for range 1000 {
		err := service.Post(func(context.Context) { count["posted"]++ })
		if err != nil {
			fmt.Println(err)
		}
	}
	if err := service.Shutdown(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println(count["posted"], service.Err())
	// Output: 1000 <nil>
}

// From inside, Dispatch is a call and Post is a note for later.
func ExampleService_Dispatch() {
	service := chanio.NewService(context.Background(), nil)
	_ = service.Dispatch(context.Background(), func(ctx context.Context) {
		fmt.Println("1: queued, because the caller was no function of the service")
		_ = service.Post(func(context.Context) { fmt.Println("4: posted") })
		_ = service.Dispatch(ctx, func(context.Context) { fmt.Println("2: dispatched") })
		fmt.Println("3: after Dispatch")
	})
	_ = service.Shutdown(context.Background())
	// Output:
	// 1: queued, because the caller was no function of the service
	// 2: dispatched
	// 3: after Dispatch
	// 4: posted
}

// A service that falls behind says so, and holds no more than its limit.
func ExampleService_Post() {
	service := chanio.NewService(context.Background(), &chanio.Options{PostQueue: 2})
	started, release := make(chan struct{}), make(chan struct{})
	_ = service.Post(func(context.Context) {
		close(started)
		<-release
	})
	<-started
	for range 3 {
		err := service.Post(func(context.Context) {})
		fmt.Println(err, errors.Is(err, chanio.ErrFull))
	}
	close(release)
	_ = service.Shutdown(context.Background())
	fmt.Println(service.Post(func(context.Context) {}))
	// Output:
	// <nil> false
	// <nil> false
	// chanio: post service: queue full true
	// chanio: post service: closed
}

// Long work runs beside the posted functions and posts its results.
func ExampleService_Go() {
	service := chanio.NewService(context.Background(), nil)
	total := 0
	service.Go(func(ctx context.Context) error {
		for part := range 3 {
			if err := service.Post(func(context.Context) { total += part }); err != nil {
				return err
			}
		}
		return nil
	})
	service.Go(func(ctx context.Context) error {
		<-ctx.Done() // the service ends
		return ctx.Err()
	})

	added := make(chan struct{})
	service.Go(func(context.Context) error {
		<-added
		return errors.New("out of numbers") // the first error is the service's
	})
	var check func(ctx context.Context)
	check = func(context.Context) {
		if total == 3 {
			close(added)
			return
		}
		_ = service.Post(check)
	}
	_ = service.Post(check)

	<-service.Done()
	fmt.Println(total, service.Err())
	// Output: 3 out of numbers
}

// Everything made with the service's context ends with the service. After a
// Restart it is made again.
func ExampleService_Context() {
	ctx := context.Background()
	service := chanio.NewService(ctx, nil)
	for range 2 {
		timer := chanio.NewTimer(service.Context())
		if err := service.Restart(ctx); err != nil {
			fmt.Println(err)
		}
		_, open := <-timer.C()
		fmt.Println("timer open:", open, "service open:", service.Context().Err() == nil)
	}
	service.Close()
	<-service.Done()
	fmt.Println(context.Cause(service.Context()))
	// Output:
	// timer open: false service open: true
	// timer open: false service open: true
	// chanio: closed
}
