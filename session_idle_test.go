package chanio

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASessionThatSendsNothingHasNoQueueForIt(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	s := NewSession(t.Context(), near, nil)
	require.Nil(t, s.output.Load())
	s.Abort(nil)
	<-s.Done()
	require.Nil(t, s.output.Load())
}

func TestSendOfASessionThatHasEndedCanBeClosed(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	s := NewSession(t.Context(), near, nil)
	s.Abort(nil)
	<-s.Done()
	close(s.Send())
	close(s.SendBatch())
}
