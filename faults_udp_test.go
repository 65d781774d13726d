package chanio_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

// A udp session and its listener lose, repeat and reorder only what the network
// loses, repeats and reorders, and each datagram that arrives is whole.
func TestUDPOverARelayThatLosesRepeatsAndReorders(t *testing.T) {
	path := chaniotest.DatagramPath{Loss: 0.1, Duplicate: 0.1, Reorder: 0.1}
	for _, q := range faultQueues {
		for seed := range uint64(3) {
			t.Run(fmt.Sprint(q.name, "/", seed), func(t *testing.T) {
				// With a smaller receive buffer, more would be dropped than arrives
				// before the session is delivered.
				o := &chanio.Options{SendQueue: q.size, RecvQueue: 1 << 10}
				l, err := chanio.Listen(t.Context(), "udp", "127.0.0.1:0", o)
				require.NoError(t, err)
				defer l.Close()
				go func() {
					for s := range l.Sessions() {
						go func() {
							defer s.Close()
							for m := range s.Recv() {
								s.Put(m)
							}
						}()
					}
				}()
				relay, err := chaniotest.NewRelay(l.Addr().String(), &chaniotest.DatagramLink{Seed: seed, Up: path, Down: path})
				require.NoError(t, err)
				defer relay.Close()
				client, err := chanio.Dial(t.Context(), "udp", relay.Addr().String(), o)
				require.NoError(t, err)
				defer client.Close()

				const n = 100
				times := make(map[string]int, n)
				for i := range n {
					require.NoError(t, client.Put(fmt.Appendf(nil, "datagram %d", i)))
				}
				require.NoError(t, client.Flush(t.Context()))
				for until := time.Now().Add(30 * time.Second); ; {
					up, down := relay.Stats()
					st := l.Stats()
					if up.Received == n && passed(up) && down.Received == up.Sent-st.MessagesDropped && passed(down) &&
						client.Stats().MessagesReceived == down.Sent && len(client.Recv()) == 0 {
						require.Equal(t, up.Sent, st.MessagesReceived+st.MessagesDropped)
						require.EqualValues(t, n, client.Stats().MessagesSent)
						return
					}
					require.True(t, time.Now().Before(until), "up %+v, down %+v, client %+v, server %+v", up, down, client.Stats(), st)
					select {
					case m := <-client.Recv():
						times[string(m)]++
						require.LessOrEqual(t, times[string(m)], 4, "%q", m)
						var i int
						_, err := fmt.Sscanf(string(m), "datagram %d", &i)
						require.NoError(t, err)
						require.Less(t, i, n)
						require.Equal(t, fmt.Sprint("datagram ", i), string(m))
					case <-time.After(10 * time.Millisecond): // to look at the counts again
					}
				}
			})
		}
	}
}

// passed reports whether everything that the relay has not lost has left it.
func passed(s chaniotest.RelayStats) bool { return s.Sent == s.Received-s.Lost+s.Duplicated }
