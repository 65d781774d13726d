package chanio

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio/internal/sock"
)

// acknowledged returns a session whose socket tells what its peer has
// acknowledged, and its settings, which were resolved at began.
func acknowledged(t *testing.T, began time.Time) (*Session, *settings) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	set := &settings{Options: Options{WriteTimeout: time.Minute}, began: began}
	s := newSession(t.Context(), newStream(conn), set, nil)
	if !s.acknowledges() {
		t.Skip("this system does not tell what the peer has acknowledged")
	}
	return s, set
}

// The FIN of a session that was idle for longer than WriteTimeout is no write that
// has waited so long.
func TestTheEndOfAnIdleSessionHasWriteTimeoutToBeAcknowledged(t *testing.T) {
	s, _ := acknowledged(t, time.Now().Add(-time.Hour))
	s.endOutput()
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.timers.stop()
	_, due := s.writeRule(s.now(), s.life(), sight{Progress: sock.Progress{Known: true, Left: 1}})
	require.Nil(t, due)
}

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

func TestAWriteBesideALookDoesNotProlongWriteTimeout(t *testing.T) {
	s, set := acknowledged(t, time.Now())
	s.watchAcknowledged() // a write that its peer does not acknowledge
	s.mu.Lock()
	s.timers.stop() // the test asks the rule itself; armed stays, so nothing starts it again
	s.mu.Unlock()
	set.began = set.began.Add(-time.Hour)
	seen := s.see(s.timers.acked)
	s.watchAcknowledged() // the next one, before the rule has its say
	seen.Progress = sock.Progress{Known: true, Acked: s.timers.acked, Left: 1}
	_, due := s.writeRule(s.now(), s.life(), seen)
	require.NotNil(t, due)

	seen = s.see(s.timers.acked)
	seen.Progress = sock.Progress{Known: true, Acked: s.timers.acked + 1, Left: 1}
	s.noteProgress(s.now(), seen.Progress) // a hub has looked as well
	_, due = s.writeRule(s.now(), s.life(), seen)
	require.Nil(t, due)
}
