package chanio_test

import (
	"context"
	"fmt"
	"time"

	"example.com/chanio"
)

// A timer is one case of a select, next to whatever else the program waits for.
func ExampleTimer() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel() // ends the timer

	answers := make(chan string)
	timer := chanio.NewTimer(ctx)
	timer.Reset(time.Millisecond)
	select {
	case answer := <-answers:
		fmt.Println(answer)
	case <-timer.C():
		fmt.Println("no answer in time")
	}
	// Output: no answer in time
}

// Wait is for code that has nothing else to wait for.
func ExampleTimer_Wait() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	timer := chanio.NewTimer(ctx)
	timer.ResetAt(time.Now().Add(time.Millisecond))
	expiry, err := timer.Wait(ctx)
	fmt.Println("canceled:", expiry.Canceled, "error:", err)

	// With no wait armed there is nothing to wait for but the context's end.
	short, stop := context.WithTimeout(ctx, time.Millisecond)
	defer stop()
	_, err = timer.Wait(short)
	fmt.Println(err)
	// Output:
	// canceled: false error: <nil>
	// context deadline exceeded
}

// A heartbeat: three ticks, each a period after the one before.
func ExampleTimer_Every() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	const period = time.Millisecond
	timer := chanio.NewTimer(ctx)
	start := time.Now()
	timer.Every(period)
	for n := range 3 {
		tick := <-timer.C()
		fmt.Println(n+1, tick.Time.Sub(start) >= time.Duration(n+1)*period)
	}
	// Output:
	// 1 true
	// 2 true
	// 3 true
}

// A wait that is put off ends as canceled, and a new one begins.
func ExampleTimer_Reset() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	timer := chanio.NewTimer(ctx)
	timer.Reset(time.Hour)
	timer.Reset(time.Hour) // puts it off
	expiry := <-timer.C()
	fmt.Println("canceled:", expiry.Canceled)

	timer.Reset(time.Millisecond)
	for expiry.Canceled { // once more, unless the expiry has replaced it by now
		expiry = <-timer.C()
	}
	fmt.Println("canceled:", expiry.Canceled)
	// Output:
	// canceled: true
	// canceled: false
}

// Cancel tells whether it came before the expiry.
func ExampleTimer_Cancel() {
	ctx, cancel := context.WithCancel(context.Background())

	timer := chanio.NewTimer(ctx)
	timer.ResetAt(time.Now().AddDate(1, 0, 0))
	_, armed := timer.Deadline()
	fmt.Println("armed:", armed)
	fmt.Println("canceled:", timer.Cancel())
	fmt.Println("canceled again:", timer.Cancel())

	cancel() // the end of the context closes the channel
	for expiry := range timer.C() {
		fmt.Printf("%T, canceled: %v\n", expiry, expiry.Canceled)
	}
	// Output:
	// armed: true
	// canceled: true
	// canceled again: false
	// chanio.Expiry, canceled: true
}
