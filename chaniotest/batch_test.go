package chaniotest_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

func TestBatchesCrossABadNetworkWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := chaniotest.Path{Latency: 50 * time.Millisecond, Fragment: 7}
		link := &chaniotest.Link{Seed: 1, Up: path, Down: path}
		client, server := chaniotest.Sessions(t.Context(), link, &chanio.Options{Framing: chanio.LengthPrefix{Size: 2}})
		go func() {
			defer server.Close()
			for b := range server.RecvBatch() {
				if server.PutBatch(b) != nil {
					return
				}
			}
		}()
		var want, got []string
		sent := chanio.NewBatch()
		for i := range 500 {
			want = append(want, fmt.Sprint("message ", i))
			sent.Append([]byte(want[i]))
		}
		require.NoError(t, client.PutBatch(sent))
		require.NoError(t, client.CloseWrite())
		for b := range client.RecvBatch() {
			for _, m := range b.All() {
				got = append(got, string(m))
			}
			b.Release()
		}
		require.Equal(t, want, got)
		<-client.Done()
		require.NoError(t, client.Err())
	})
}
