// Timer waits for an absolute time synchronously, then for a duration on its
// channel, and then arms a wait and cancels it. It prints expired, expired,
// canceled. Ctrl-C cancels the current wait and ends the program.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"example.com/chanio"
	"example.com/chanio/examples/internal/console"
)

func main() {
	console.Args()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run(ctx)
}

// run performs the three waits, or as many as fit before ctx ends.
func run(ctx context.Context) {
	timer := chanio.NewTimer(ctx)

	timer.ResetAt(time.Now().Add(time.Second))
	expiry, err := timer.Wait(ctx)
	if err != nil {
		return
	}
	show(expiry)

	timer.Reset(time.Second)
	if expiry, open := <-timer.C(); open {
		show(expiry)
	}

	timer.Reset(time.Hour)
	timer.Cancel()
	if expiry, open := <-timer.C(); open {
		show(expiry)
	}
}

func show(expiry chanio.Expiry) {
	if expiry.Canceled {
		fmt.Println("canceled")
	} else {
		fmt.Println("expired")
	}
}
