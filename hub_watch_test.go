package chanio_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestASessionGetsItsFormerHubsMessagesBeforeTheNextHubs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		past, room := testHub(t, nil), testHub(t, nil)
		s, peer := joinMem(t, past, nil) // reads nothing yet
		var want []byte
		publish := func(h *chanio.Hub, i int) {
			m := message(i, 40_000) // a write holds only a few of these
			want = append(want, m...)
			require.NoError(t, h.Multicast(m))
		}
		for i := range 10 {
			publish(past, i)
		}
		require.NoError(t, room.JoinAfter(s, past))
		require.NoError(t, past.Multicast([]byte("nobody is there")))
		for i := range 10 {
			publish(room, 10+i)
		}
		require.Zero(t, past.Len())
		require.Equal(t, 1, room.Len())

		all := readInto(peer)
		require.NoError(t, s.CloseWrite())
		require.Equal(t, want, <-all)
	})
}

func TestJoinAfterAnEmptyPastIsJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		past, room := testHub(t, nil), testHub(t, nil)
		s, peer := joinMem(t, past, nil)
		stranger, _ := memSession(t, nil)
		require.NoError(t, room.JoinAfter(s, past))
		require.NoError(t, room.JoinAfter(stranger, past), "it was in no hub")
		require.NoError(t, room.Multicast([]byte("hello")))
		got := make([]byte, 5)
		_, err := io.ReadFull(peer, got)
		require.NoError(t, err)
		require.Equal(t, "hello", string(got))
		room.Close()
		require.ErrorIs(t, room.JoinAfter(s, past), chanio.ErrClosed)
	})
}

func TestMovingToAndFroKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hubs := [2]*chanio.Hub{testHub(t, nil), testHub(t, nil)}
		s, peer := joinMem(t, hubs[0], nil)
		var want []byte
		for i := range 100 {
			m := message(i, 5000)
			want = append(want, m...)
			require.NoError(t, hubs[i%2].Multicast(m))
			require.NoError(t, hubs[1-i%2].JoinAfter(s, hubs[i%2]))
		}
		all := readInto(peer)
		require.NoError(t, s.CloseWrite())
		require.Equal(t, want, <-all)
	})
}

func TestWatchTellsOfEachChangeOfLen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, nil)
		changed := make(chan struct{}, 1)
		stop := h.Watch(changed)
		told := func(want bool, why string) {
			t.Helper()
			select {
			case <-changed:
				require.True(t, want, why)
			default:
				require.False(t, want, why)
			}
		}
		a, _ := joinMem(t, h, nil)
		joinMem(t, h, nil)
		told(true, "two joined")
		told(false, "one value stands for both")
		require.NoError(t, h.Join(a))
		told(false, "it is a member already")
		h.Leave(a)
		told(true, "one left")
		for s := range h.All() {
			s.Abort(fmt.Errorf("gone"))
			<-s.Done()
		}
		told(true, "one ended")
		joinMem(t, h, nil)
		<-changed
		h.Close()
		told(true, "the hub ended")
		stop()
		stop()
	})
}

func TestJoinAfterKeepsItsOrderWhateverTheHubDoesNotSendToTheSession(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(t *testing.T, room *chanio.Hub, s *chanio.Session)
	}{
		{"a message to the others", func(t *testing.T, room *chanio.Hub, s *chanio.Session) {
			require.NoError(t, room.MulticastExcept([]byte("not for it"), s))
		}},
		{"messages that it is too slow for", func(t *testing.T, room *chanio.Hub, s *chanio.Session) {
			for range 2 {
				require.NoError(t, room.Multicast(make([]byte, 900)))
			}
		}},
		{"messages that it is too slow for, in several parts", func(t *testing.T, room *chanio.Hub, s *chanio.Session) {
			for range 4 {
				require.NoError(t, room.Multicast(make([]byte, 300)))
				require.NoError(t, room.MulticastExcept([]byte("not for it"), s))
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				past, room := testHub(t, nil), testHub(t, &chanio.Options{Lag: chanio.LagDrop, MaxLag: 1000})
				s, peer := joinMem(t, past, nil) // reads nothing yet
				_, other := joinMem(t, room, nil)
				readInto(other)
				var want []byte
				for i := range 10 {
					m := message(i, 40_000) // a write holds only a few of these
					want = append(want, m...)
					require.NoError(t, past.Multicast(m))
				}
				require.NoError(t, room.JoinAfter(s, past))
				test.do(t, room, s)
				require.NoError(t, room.Multicast([]byte("the last")))
				got := readInto(peer)
				require.NoError(t, s.CloseWrite())
				all := <-got
				require.Equal(t, want, all[:len(want)])
				require.True(t, bytes.HasSuffix(all, []byte("the last")))
			})
		})
	}
}

func TestJoinAfterOfANilSessionIsAnError(t *testing.T) {
	past, room := testHub(t, nil), testHub(t, nil)
	require.Error(t, room.JoinAfter(nil, past))
}
