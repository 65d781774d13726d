package chaniotest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

// patience is how long tests over real sockets wait for something that must
// happen.
const patience = 30 * time.Second

// relayed sends n numbered datagrams through a relay and returns those that
// came out at the other end.
func relayed(t *testing.T, link *chaniotest.DatagramLink, n int) (got []int, up chaniotest.RelayStats) {
	t.Helper()
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer server.Close()
	relay, err := chaniotest.NewRelay(server.LocalAddr().String(), link)
	require.NoError(t, err)
	defer relay.Close()
	client, err := net.Dial("udp", relay.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	for i := range n {
		_, err := client.Write([]byte(strconv.Itoa(i)))
		require.NoError(t, err)
	}
	until := time.Now().Add(patience)
	for p := make([]byte, 100); ; {
		up, _ = relay.Stats()
		if up.Received == int64(n) && up.Sent == up.Received-up.Lost+up.Duplicated && len(got) == int(up.Sent) {
			return got, up
		}
		require.True(t, time.Now().Before(until), "%+v, got %v", up, got)
		require.NoError(t, server.SetReadDeadline(time.Now().Add(10*time.Millisecond))) // to look at the counts again
		size, err := server.Read(p)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		require.NoError(t, err)
		i, err := strconv.Atoi(string(p[:size]))
		require.NoError(t, err)
		got = append(got, i)
	}
}

func TestARelayWithoutFaultsRelays(t *testing.T) {
	got, up := relayed(t, nil, 100)
	for i, n := range got {
		require.Equal(t, i, n)
	}
	require.Equal(t, chaniotest.RelayStats{Received: 100, Sent: 100}, up)
}

func TestLatencyAloneKeepsTheOrder(t *testing.T) {
	for range 10 {
		got, up := relayed(t, &chaniotest.DatagramLink{Up: chaniotest.DatagramPath{Latency: 5 * time.Millisecond}}, 100)
		require.IsIncreasing(t, got)
		require.Equal(t, chaniotest.RelayStats{Received: 100, Sent: 100}, up)
	}
}

func TestWhatIsLostInFlightIsNotDuplicated(t *testing.T) {
	const room, n = 4096, 4200
	relay, err := chaniotest.NewRelay("127.0.0.1:1", &chaniotest.DatagramLink{Up: chaniotest.DatagramPath{Latency: time.Hour, Duplicate: 1}})
	require.NoError(t, err)
	defer relay.Close()
	client, err := net.Dial("udp", relay.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	for i := range int64(n) {
		_, err := client.Write([]byte("x"))
		require.NoError(t, err)
		if i%100 == 99 { // no more than a socket holds
			require.Eventually(t, func() bool { up, _ := relay.Stats(); return up.Received == i+1 }, patience, time.Millisecond)
		}
	}
	up, _ := relay.Stats()
	require.Equal(t, chaniotest.RelayStats{Received: n, Lost: n - room, Duplicated: room}, up)
}

func TestASeedDecidesWhatARelayDoes(t *testing.T) {
	link := &chaniotest.DatagramLink{Seed: 1, Up: chaniotest.DatagramPath{Loss: 0.1, Duplicate: 0.2, Reorder: 0.2}}
	got, up := relayed(t, link, 100)
	require.Positive(t, up.Lost)
	require.Positive(t, up.Duplicated)
	require.Positive(t, up.Reordered)
	again, _ := relayed(t, link, 100)
	require.Equal(t, got, again)
	other := *link
	other.Seed = 2
	again, _ = relayed(t, &other, 100)
	require.NotEqual(t, got, again)
}

func TestEachFaultOfARelayDoesWhatItSays(t *testing.T) {
	for _, test := range []struct {
		name string
		path chaniotest.DatagramPath
		n    int
		want []int
	}{
		{"none", chaniotest.DatagramPath{}, 3, []int{0, 1, 2}},
		{"every one twice", chaniotest.DatagramPath{Duplicate: 1}, 3, []int{0, 0, 1, 1, 2, 2}},
		{"every other one is overtaken, the last one by nothing", chaniotest.DatagramPath{Reorder: 1}, 5, []int{1, 0, 3, 2, 4}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, _ := relayed(t, &chaniotest.DatagramLink{Up: test.path}, test.n)
			require.Equal(t, test.want, got)
		})
	}
	t.Run("all is lost", func(t *testing.T) {
		got, up := relayed(t, &chaniotest.DatagramLink{Up: chaniotest.DatagramPath{Loss: 1, Duplicate: 1}}, 3)
		require.Empty(t, got)
		require.Equal(t, chaniotest.RelayStats{Received: 3, Lost: 3}, up)
	})
	t.Run("latency", func(t *testing.T) {
		start := time.Now()
		got, _ := relayed(t, &chaniotest.DatagramLink{Up: chaniotest.DatagramPath{Latency: 50 * time.Millisecond, Jitter: 50 * time.Millisecond}}, 20)
		require.Len(t, got, 20)
		require.GreaterOrEqual(t, time.Since(start), 50*time.Millisecond)
	})
}

func TestARelayKeepsItsClientsApart(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(loopback, func(t *testing.T) {
			l, err := chanio.Listen(t.Context(), "udp", loopback, nil)
			if err != nil {
				t.Skip(err)
			}
			defer l.Close()
			go func() {
				for s := range l.Sessions() {
					go echo(s)
				}
			}()
			relay, err := chaniotest.NewRelay(l.Addr().String(), nil)
			require.NoError(t, err)
			for i := range 3 {
				s, err := chanio.Dial(t.Context(), "udp", relay.Addr().String(), nil)
				require.NoError(t, err)
				defer s.Close()
				m := fmt.Sprint("client ", i)
				require.NoError(t, s.Put([]byte(m)))
				select {
				case got := <-s.Recv():
					require.Equal(t, m, string(got))
				case <-time.After(patience):
					require.FailNow(t, "no answer")
				}
			}
			require.Equal(t, 3, l.Len())
			up, down := relay.Stats()
			require.Equal(t, chaniotest.RelayStats{Received: 3, Sent: 3}, up)
			require.Equal(t, up, down)
			require.NoError(t, relay.Close())
			require.NoError(t, relay.Close(), "idempotent")
		})
	}
}

func TestARelayToNowhereIsAnError(t *testing.T) {
	_, err := chaniotest.NewRelay("127.0.0.1", nil)
	require.ErrorContains(t, err, "missing port")
}

// A tenth of the questions are lost on the way, and a tenth of the answers: a
// client that asks again is answered.
func ExampleRelay() {
	l, err := chanio.Listen(context.Background(), "udp", "127.0.0.1:0", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	go func() {
		for s := range l.Sessions() {
			go echo(s)
		}
	}()
	path := chaniotest.DatagramPath{Loss: 0.1}
	relay, err := chaniotest.NewRelay(l.Addr().String(), &chaniotest.DatagramLink{Seed: 1, Up: path, Down: path})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer relay.Close()

	s, err := chanio.Dial(context.Background(), "udp", relay.Addr().String(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	for answers := 0; answers < 20; {
		s.Put([]byte("question"))
		select {
		case <-s.Recv():
			answers++
		case <-time.After(50 * time.Millisecond): // ask again
		}
	}
	fmt.Println("20 answers")
	// Output: 20 answers
}
