package chanio_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/memory"
)

func TestATLSSessionThatWaitsHoldsASmallBuffer(t *testing.T) {
	const pairs = 50
	server, client := testTLS(t)
	before := memory.Live()
	var all []*chanio.Session
	for range pairs {
		a, b := tlsPair(t, chanio.Options{}, server, client)
		all = append(all, a, b)
		for _, way := range [][2]*chanio.Session{{a, b}, {b, a}} {
			require.NoError(t, way[0].Put([]byte("hello")))
			m, _ := await(t, way[1].Recv(), "a message")
			require.Equal(t, "hello", string(m))
		}
	}
	require.Less(t, (memory.Live()-before)/(2*pairs), int64(40<<10), "bytes a session")
	for _, s := range all {
		s.Abort(nil)
	}
}
