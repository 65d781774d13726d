package chanio_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func testRooms(t testing.TB, o *chanio.Options) *chanio.Rooms[string] {
	r := chanio.NewRooms[string](context.Background(), o)
	t.Cleanup(func() { r.Close() })
	return r
}

func TestARoomIsMadeWhenJoinedAndForgottenAfterItsLastMember(t *testing.T) {
	for _, way := range []struct {
		name string
		end  func(r *chanio.Rooms[string], s *chanio.Session)
	}{
		{"Leave", func(r *chanio.Rooms[string], s *chanio.Session) { r.Leave("a", s) }},
		{"the session's end", func(_ *chanio.Rooms[string], s *chanio.Session) { s.Abort(nil) }},
		{"CloseWrite", func(_ *chanio.Rooms[string], s *chanio.Session) { s.CloseWrite() }},
		{"Close of the hub", func(r *chanio.Rooms[string], _ *chanio.Session) { h, _ := r.Hub("a"); h.Close() }},
	} {
		t.Run(way.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := testRooms(t, nil)
				require.NoError(t, r.Multicast("a", []byte("nobody is there")))
				require.Zero(t, r.Len())
				s, peer := memSession(t, nil)
				require.NoError(t, r.Join("a", s))
				require.NoError(t, r.Join("a", s))
				h, ok := r.Hub("a")
				require.True(t, ok)
				require.Equal(t, 1, h.Len())
				require.NoError(t, r.Multicast("a", []byte("hello")))
				require.NoError(t, r.Multicast("b", []byte("another room")))
				way.end(r, s)
				synctest.Wait()
				if s.Err() == nil {
					require.Equal(t, 1, r.Len(), "it is still to write what was published before")
					require.False(t, way.name != "Close of the hub" && isClosed(h.Done()))
					read(t, peer, "hello")
					synctest.Wait()
				}
				require.Zero(t, r.Len())
				require.True(t, isClosed(h.Done()))
				require.EqualValues(t, 1, r.Stats().Accepted)
				require.EqualValues(t, 5, r.Stats().BytesReceived)
			})
		})
	}
}

func TestAMemberThatRejoinsARoomGetsBothPartsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := testRooms(t, nil)
		s, peer := memSession(t, nil)
		var want strings.Builder
		for i := range 20 { // its peer reads nothing yet
			require.NoError(t, r.Join("a", s))
			m := fmt.Sprintf("%d,", i)
			want.WriteString(m)
			require.NoError(t, r.Multicast("a", []byte(m)))
			r.Leave("a", s)
			require.NoError(t, r.Multicast("a", []byte("never")))
		}
		require.Equal(t, 1, r.Len())
		all := readInto(peer)
		require.NoError(t, s.CloseWrite())
		require.Equal(t, want.String(), string(<-all))
		require.Zero(t, r.Len())
	})
}

func TestAFailedJoinLeavesNoRoom(t *testing.T) {
	r := testRooms(t, nil)
	s := pipeSessions(t, 1, nil)[0]
	s.Abort(nil)
	require.ErrorIs(t, r.Join("a", s), chanio.ErrClosed)
	require.Error(t, r.Join("a", nil))
	require.Zero(t, r.Len())
}

func TestClosedRoomsAcceptNoOne(t *testing.T) {
	cause := errors.New("cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	closed, ended := chanio.NewRooms[int](t.Context(), nil), chanio.NewRooms[int](ctx, nil)
	bad := chanio.NewRooms[int](t.Context(), &chanio.Options{Lag: 17})
	s := pipeSessions(t, 1, nil)[0]
	for _, r := range []*chanio.Rooms[int]{closed, ended} {
		require.NoError(t, r.Join(1, s))
		require.NoError(t, r.Err())
	}
	require.NoError(t, closed.Close())
	cancel(cause)
	for _, r := range []*chanio.Rooms[int]{closed, ended, bad} {
		<-r.Done()
		require.Zero(t, r.Len())
		require.ErrorIs(t, r.Join(1, s), chanio.ErrClosed)
		require.ErrorIs(t, r.Multicast(1, nil), chanio.ErrClosed)
		require.NoError(t, r.Close())
		r.Leave(1, s)
	}
	require.NoError(t, closed.Err())
	require.Equal(t, cause, ended.Err())
	require.ErrorContains(t, bad.Err(), "Lag")
	require.NoError(t, s.Err())
}

func TestRoomsLoseNoMessageAndLeakNoRoomHoweverMembersComeAndGo(t *testing.T) {
	const workers, keys, rounds = 8, 3, 200
	r := chanio.NewRooms[int](t.Context(), nil)
	var all sync.WaitGroup
	for w := range workers {
		conn, peer := memPair()
		s := chanio.NewSession(t.Context(), conn, nil)
		got := readInto(peer)
		all.Go(func() {
			pace := rand.New(rand.NewPCG(uint64(w), 9))
			sent := 0
			for i := range rounds {
				key := pace.IntN(keys)
				if err := r.Join(key, s); err != nil {
					t.Error(err)
				}
				// It is a member: it must get its own message.
				if err := r.Multicast(key, tagged(w, i, pace.IntN(50))); err != nil {
					t.Error(err)
				}
				sent++
				r.Leave(key, s)
			}
			if err := s.CloseWrite(); err != nil {
				t.Error(err)
			}
			seqs, rest := whole(t, <-got)
			if len(seqs[w]) != sent || rest != 0 {
				t.Errorf("worker %d got %d of its %d messages", w, len(seqs[w]), sent)
			}
			s.Abort(nil)
			<-s.Done()
		})
	}
	all.Wait()
	require.Zero(t, r.Len())
	require.EqualValues(t, workers*rounds, r.Stats().Accepted)
	require.NoError(t, r.Close())
}

func TestStatsOfRoomsCountWhatMembersWriteAfterTheirRoomHasEnded(t *testing.T) {
	for _, end := range []struct {
		name string
		end  func(r *chanio.Rooms[string])
	}{
		{"Close", func(r *chanio.Rooms[string]) { r.Close() }},
		{"the hub's Close", func(r *chanio.Rooms[string]) {
			h, _ := r.Hub("a")
			h.Close()
		}},
		{"Close of a room with a pump", func(r *chanio.Rooms[string]) {
			h, _ := r.Hub("a")
			h.Send()
			r.Close()
		}},
	} {
		t.Run(end.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := testRooms(t, nil)
				s, peer := memSession(t, nil)
				require.NoError(t, r.Join("a", s))
				require.NoError(t, r.Multicast("a", []byte("hello")))
				end.end(r)
				require.EqualValues(t, 5, r.Stats().BytesPending)
				read(t, peer, "hello")
				synctest.Wait()
				st := r.Stats()
				require.EqualValues(t, 5, st.BytesSent)
				require.EqualValues(t, 1, st.MessagesSent)
				require.Zero(t, st.BytesPending)
				require.Zero(t, r.EndingRooms())
			})
		})
	}
}

func TestStatsOfRoomsCountTheWriteInWhichTheLastMemberEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := testRooms(t, nil)
		s, _ := memSession(t, nil) // its peer reads nothing
		require.NoError(t, r.Join("a", s))
		require.NoError(t, r.Multicast("a", []byte("hello")))
		synctest.Wait() // it is in the write
		s.Abort(nil)
		<-s.Done()
		require.Zero(t, r.Len())
		require.Zero(t, r.Stats().BytesPending)
		require.EqualValues(t, 5, r.Stats().Undelivered)
	})
}
