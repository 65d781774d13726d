// Timer waits for an absolute time synchronously, then for a relative one over
// its channel, then arms one and cancels it: it prints expired, expired,
// canceled. Ctrl-C cancels what it waits for and ends it.
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

// run does the three waits, or as many as there are until ctx ends.
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
