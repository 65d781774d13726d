//go:build unix

package natsroom_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// silentJetStream returns the URL of a server whose JetStream creates a stream and
// then answers nothing more, as one whose cluster has lost its leader.
func silentJetStream(t *testing.T) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(patience))
	nc := connect(t, s.ClientURL())
	_, err = nc.Subscribe("$JS.API.>", func(*nats.Msg) {})
	require.NoError(t, err)
	_, err = nc.Subscribe("$JS.API.STREAM.CREATE.*", func(m *nats.Msg) {
		var info jetstream.StreamInfo
		if json.Unmarshal(m.Data, &info.Config) == nil {
			info.Created = time.Unix(1, 0)
			b, _ := json.Marshal(info)
			m.Respond(b)
		}
	})
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	return s.ClientURL()
}

func TestMembersStayCountedWhileTheStreamDoesNotAnswer(t *testing.T) {
	url := silentJetStream(t)
	a := join(t, connect(t, url), "x", historyOptions, nil)
	b := join(t, connect(t, url), "x", historyOptions, nil)
	for _, p := range []place{a, b} {
		require.NoError(t, p.hub.Join(listen(t, nil).s))
	}
	eventually(t, patience, func() bool { return a.room.Members() == 2 && b.room.Members() == 2 }, "members are not counted")
	// Longer than a node may be silent, and than some requests take to time out.
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		require.Equal(t, 2, a.room.Members())
		require.Equal(t, 2, b.room.Members())
		<-time.After(10 * time.Millisecond)
	}
}
