package chanio_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestASessionThatSendsNothingHasNoQueueForIt(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	s := chanio.NewSession(t.Context(), near, nil)
	require.False(t, s.HasSendQueue())
	s.Abort(nil)
	<-s.Done()
	require.False(t, s.HasSendQueue())
}

func TestSendOfASessionThatHasEndedCanBeClosed(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	s := chanio.NewSession(t.Context(), near, nil)
	s.Abort(nil)
	<-s.Done()
	close(s.Send())
	close(s.SendBatch())
}
