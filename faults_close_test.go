package chanio_test

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

// What Close has flushed arrives over any link, although what the peer sent is
// never received.
func TestFlushedDataArrivesOverRandomLinks(t *testing.T) {
	for seed := range uint64(120) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			link := chaniotest.RandomLink(seed, 20_000)
			link.Down = chaniotest.Path{} // else a late byte from the peer would reset what is still in flight
			synctest.Test(t, func(t *testing.T) {
				size := faultQueues[seed%3].size
				o := &chanio.Options{RecvQueue: size, SendQueue: size, CloseTimeout: 5 * time.Minute, WriteTimeout: time.Minute, IdleTimeout: time.Hour}
				client, server := chaniotest.Sessions(t.Context(), link, o)
				require.NoError(t, server.Put(make([]byte, 10_000)))
				var messages [][]byte
				for i := range 100 {
					messages = append(messages, bytes.Repeat([]byte{byte(i)}, i*4))
				}
				want := bytes.Join(messages, nil)
				closed := make(chan error)
				go func() {
					for _, m := range messages {
						if client.Put(m) != nil {
							break
						}
					}
					closed <- client.Close()
				}()
				var got []byte
				for m := range server.Recv() {
					got = append(got, m...)
				}
				err := <-closed
				server.Abort(nil)
				<-server.Done()
				if breaks(link) {
					require.True(t, bytes.HasPrefix(want, got))
					return
				}
				require.NoError(t, err)
				require.NoError(t, client.Err())
				require.True(t, bytes.Equal(want, got), "%d of %d bytes", len(got), len(want))
			})
		})
	}
}

// A session's NetConn is a net.Conn also over links that cut its stream to
// pieces.
func TestNetConnIsANetConnOverBadLinks(t *testing.T) {
	for _, test := range []struct {
		name string
		path chaniotest.Path
	}{
		{"fragments and a small buffer", chaniotest.Path{Fragment: 1000, Buffer: 10_000}},
		{"jitter", chaniotest.Path{Buffer: 1 << 20, Jitter: time.Millisecond}},
	} {
		t.Run(test.name, func(t *testing.T) {
			testNetConn(t, func() (s1, s2 *chanio.Session) {
				return chaniotest.Sessions(t.Context(), &chaniotest.Link{Seed: 1, Up: test.path, Down: test.path}, nil)
			})
		})
	}
}
