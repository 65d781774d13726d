package chanio_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

// A breakingOutput is a connection whose peer takes nothing once it is deaf, and
// that then breaks in that direction.
type breakingOutput struct {
	*chaniotest.Conn
	deaf   *atomic.Bool
	broken chan struct{}
}

func (c breakingOutput) Write(p []byte) (int, error) {
	if !c.deaf.Load() {
		return c.Conn.Write(p)
	}
	<-c.broken
	return 0, errUnwritable
}

// askedTimes is how often a peer asks for answers: for more than may wait.
const askedTimes = 2 * chanio.RecordBlockSize / (15 * 27)

// The reader has to send TLS's answers where too many wait. That it can't send
// them ends the sending only: what the peer has sent is still delivered.
func TestReadingGoesOnThoughTLSAnswersCannotBeSent(t *testing.T) {
	const goodbye = "the end"
	ask := func(t *testing.T, peer *recordPeer) {
		for range askedTimes {
			if peer.ask(t) != nil {
				return
			}
		}
		peer.wire.Write(peer.record(recordData, []byte(goodbye)))
		peer.wire.Write(peer.record(recordAlert, []byte{1, 0})) // close_notify
	}
	want := string(bytes.Repeat([]byte("x"), askedTimes)) + goodbye

	t.Run("portable", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newMemServer(t, t.Context(), chanio.Options{WriteTimeout: -1})
			var keys bytes.Buffer
			config := m.client.Clone()
			config.MinVersion, config.KeyLogWriter = tls.VersionTLS13, &keys
			broken := make(chan struct{})
			var deaf atomic.Bool
			m.ln.replace <- func(conn net.Conn) net.Conn { return breakingOutput{conn.(*chaniotest.Conn), &deaf, broken} }
			raw := m.ln.dial()
			w := &wire{Conn: raw}
			tc := tls.Client(w, config)
			defer raw.Close()
			require.NoError(t, tc.Handshake())
			peer := newRecordPeer(t, &tlsPeer{tc, w}, keys.String())
			s := <-m.Sessions()
			got := make(chan string, 1)
			go func() { got <- string(receiveAll(s)) }()
			deaf.Store(true)
			go ask(t, peer)
			synctest.Wait()
			require.Greater(t, s.Records().Left(), chanio.RecordBlockSize, "the reader does not wait")
			start := time.Now()
			close(broken)
			require.Equal(t, want, <-got)
			<-s.Done()
			require.ErrorIs(t, s.Err(), errUnwritable)
			require.Zero(t, since(start))
		})
	})
	eachDeaf(t, chanio.Options{WriteTimeout: -1}, func(t *testing.T, s *chanio.Session, peer *recordPeer) {
		got := make(chan string, 1)
		go func() { got <- string(receiveAll(s)) }()
		go ask(t, peer)
		require.Eventually(t, func() bool { return s.Records().Left() > chanio.RecordBlockSize }, patience, time.Millisecond)
		require.NoError(t, peer.wire.Conn.(*net.UnixConn).CloseRead())
		// Linux wakes the writer, which finds the end, once there is room.
		_, err := io.Copy(io.Discard, peer.wire.Conn)
		require.NoError(t, err)
		require.Equal(t, want, <-got)
		awaitDone(t, s)
		require.ErrorContains(t, s.Err(), "broken pipe")
	})
}
