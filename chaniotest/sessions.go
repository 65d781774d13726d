package chaniotest

import (
	"context"

	"example.com/chanio"
)

// Sessions returns two sessions that are connected over link, with the same
// options; nil is a link without faults. They live until ctx ends at the
// longest, as those of [chanio.NewSession]. Sessions with options of their own,
// or with TLS, are made of the ends of a [Pipe].
func Sessions(ctx context.Context, link *Link, o *chanio.Options) (client, server *chanio.Session) {
	a, b := Pipe(link)
	return chanio.NewSession(ctx, a, o), chanio.NewSession(ctx, b, o)
}
