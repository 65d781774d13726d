package chanio

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The reader yields to the receiver as long as its reads find something after
// that, and ever more rarely where they do not.
func TestTheReaderIsCourteousWhereItGainsByThat(t *testing.T) {
	read := &stream{raw: new(rawConn)}
	var c courtesy
	shown := func(deliveries int) (n int) {
		for range deliveries {
			c.delivered(read)
			if c.shown {
				n++
			}
		}
		return n
	}
	require.Equal(t, 1000, shown(1000))
	read.raw.waited = true
	require.LessOrEqual(t, shown(1000), 11)
	require.Positive(t, shown(2*rarest), "it tries again")
	read.raw.waited = false
	shown(rarest + 1)
	require.Equal(t, 1000, shown(1000))
	c, read.raw = courtesy{}, nil
	require.Zero(t, shown(10), "where reads do not tell")
}
