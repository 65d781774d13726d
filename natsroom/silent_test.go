//go:build unix

package natsroom_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// silentJetStream returns the URL of a server whose JetStream creates a stream and
// then answers nothing more, like one whose cluster has lost its leader. heard
// yields its requests, and what nodes say of themselves, in order.
func silentJetStream(t *testing.T) (url string, heard chan *nats.Msg) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(patience))
	nc := connect(t, s.ClientURL())
	_, err = nc.Subscribe("$JS.API.STREAM.CREATE.*", func(m *nats.Msg) {
		var info jetstream.StreamInfo
		if json.Unmarshal(m.Data, &info.Config) == nil {
			info.Created = time.Unix(1, 0)
			b, _ := json.Marshal(info)
			m.Respond(b)
		}
	})
	require.NoError(t, err)
	heard = make(chan *nats.Msg, 1000)
	for _, subject := range []string{"$JS.API.STREAM.INFO.*", "chanio.nodes"} {
		_, err = nc.ChanSubscribe(subject, heard)
		require.NoError(t, err)
	}
	require.NoError(t, nc.Flush())
	return s.ClientURL(), heard
}

// Other nodes forget one that they have not heard for 3 seconds, and a request may
// wait for 2.
func TestANodeSaysThatItLivesBeforeItWaitsForTheStream(t *testing.T) {
	url, heard := silentJetStream(t)
	p := join(t, connect(t, url), "x", historyOptions, nil)
	require.NoError(t, p.hub.Join(listen(t, nil).s))
	lives := false
	for requests := 0; requests < 4; {
		select {
		case m := <-heard:
			if !strings.HasPrefix(m.Subject, "$JS") {
				lives = true
				continue
			}
			require.True(t, lives, "request %d", requests)
			lives = false
			requests++
		case <-time.After(patience):
			require.Fail(t, "no further request arrived")
		}
	}
}
