package chanio

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSendsDoNotProlongASessionWhoseOutputFailed(t *testing.T) {
	set := &settings{Options: Options{CloseTimeout: time.Second}, began: time.Now()}
	s := newSession(t.Context(), noTransport{}, set, nil)
	o := s.writing()
	o.send = make(chan []byte, 1)
	s.setLife(lifeWriter)
	s.setOutput(outputFailed)
	_, due := s.failedRule(1, s.life(), sight{})
	require.Nil(t, due)
	o.send <- []byte("x") // a sender that goes on, and a writer that receives it a moment later
	_, due = s.failedRule(1+int64(time.Second), s.life(), sight{})
	require.NotNil(t, due)
}
