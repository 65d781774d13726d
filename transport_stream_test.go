package chanio_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// A connection that is wrapped, to count or to limit its bytes, is still a TCP
// connection.
func TestAbortResetsAWrappedConnection(t *testing.T) {
	type wrapped struct{ *net.TCPConn }
	peer, conn := socketPair(t, "tcp")
	defer peer.Close()
	s := chanio.NewSession(t.Context(), wrapped{conn.(*net.TCPConn)}, nil)
	s.Abort(nil)
	<-s.Done()
	_, err := peer.Read(make([]byte, 1))
	require.ErrorIs(t, err, errReset)
}
