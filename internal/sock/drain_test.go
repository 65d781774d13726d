package sock

import (
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/internal/readable"
)

func TestDrainTakesWhatHasArrivedAndWaitsForNothing(t *testing.T) {
	peer, conn := tcpPair(t)
	socket := Of(conn)

	_, err := peer.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, readable.Await(socket.RawConn()))
	socket.Drain(1 << 20)

	type result struct {
		got string
		err error
	}
	read := make(chan result)
	go func() {
		p := make([]byte, 10)
		n, err := conn.Read(p)
		read <- result{string(p[:n]), err}
	}()
	socket.Drain(1 << 20) // beside a read, which goes on
	_, err = peer.Write([]byte("again"))
	require.NoError(t, err)
	require.Equal(t, result{"again", nil}, <-read)
}
