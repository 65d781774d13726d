package chaniotest

import (
	"context"

	"example.com/chanio"
)

// Sessions returns two sessions connected over link, with the same options. A
// nil link has no faults. The sessions live at most until ctx ends, like those
// of [chanio.NewSession]. For different options, or for TLS, make sessions from
// the ends of a [Pipe].
func Sessions(ctx context.Context, link *Link, o *chanio.Options) (client, server *chanio.Session) {
	a, b := Pipe(link)
	return chanio.NewSession(ctx, a, o), chanio.NewSession(ctx, b, o)
}
