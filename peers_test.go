package chanio

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// listenUDP returns a udp listener on a free port of the loopback interface,
// which ends with the test.
func listenUDP(t testing.TB, o *Options) *Listener {
	t.Helper()
	l, err := Listen(context.Background(), "udp", "127.0.0.1:0", o)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func TestAUDPSessionIsAPeerBornWithItsFirstDatagram(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			l := listenUDP(t, &q.o)
			var clients [2]*Session
			for i := range clients {
				c, err := Dial(t.Context(), "udp", l.Addr().String(), &q.o)
				require.NoError(t, err)
				defer c.Close()
				clients[i] = c
				_, err = c.Write([]byte{byte('a' + i)})
				require.NoError(t, err)
				s := <-l.Sessions()
				require.Equal(t, string('a'+rune(i)), string(<-s.Recv()))
				require.Equal(t, c.LocalAddr().String(), s.RemoteAddr().String())
				_, err = s.Write([]byte{byte('A' + i)})
				require.NoError(t, err)
			}
			for i, c := range clients {
				require.Equal(t, string('A'+rune(i)), string(<-c.Recv()))
			}
			require.Equal(t, 2, l.Len())
			require.NoError(t, l.Close())
			require.Equal(t, 0, l.Len())
		})
	}
}

func TestAHubSendsAMessageToUDPSessionsAsADatagram(t *testing.T) {
	l := listenUDP(t, nil)
	c, err := net.Dial("udp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte("hello"))
	require.NoError(t, err)
	s := <-l.Sessions()
	require.Equal(t, 0, l.Hub().Len(), "a forged address must not subscribe anyone")
	require.NoError(t, l.Hub().Join(s))
	want := []string{"one", "", "three"}
	for _, m := range want {
		require.NoError(t, l.Multicast([]byte(m)))
	}
	buf := make([]byte, 100)
	for _, m := range want {
		n, err := c.Read(buf)
		require.NoError(t, err)
		require.Equal(t, m, string(buf[:n]))
	}
}
