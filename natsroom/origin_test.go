//go:build unix

package natsroom_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"example.com/chanio/natsroom"
)

// A speaker is a room's publisher that the test controls: it puts packets in
// the stream as a node does, in any order.
type speaker struct {
	t      *testing.T
	nc     *nats.Conn
	source [16]byte
}

func newSpeaker(t *testing.T, url string, made time.Time) *speaker {
	s := &speaker{t: t, nc: connect(t, url)}
	binary.BigEndian.PutUint64(s.source[:8], uint64(made.UnixMilli())<<16) // as a UUIDv7 has it
	return s
}

// say publishes message n, at a time when everything up to floor was known to
// be in the stream, at floorAt. It returns the position of n in the stream.
func (s *speaker) say(n, floor, floorAt uint64, again bool) uint64 {
	s.t.Helper()
	line := fmt.Sprintln(n)
	b := append([]byte{1, 0}, s.source[:]...)
	if again {
		b[1] = 1
	}
	for _, v := range []uint64{n, floor, floorAt, 1, uint64(len(line))} {
		b = binary.AppendUvarint(b, v)
	}
	answer, err := s.nc.Request("chanio.keep.x", append(b, line...), patience)
	require.NoError(s.t, err)
	var stream string
	var seq uint64
	_, err = fmt.Sscanf(string(answer.Data), `{"stream":%q,"seq":%d`, &stream, &seq)
	require.NoError(s.t, err, "%s", answer.Data)
	return seq
}

// TestAMemberThatMeetsASourceMidStreamHearsItFromTheStart looks at members
// that hear a source for the first time while it sends again.
func TestAMemberThatMeetsASourceMidStreamHearsItFromTheStart(t *testing.T) {
	for _, made := range []time.Duration{-time.Hour, 0, time.Hour} { // clocks must not matter
		for _, test := range []struct {
			name   string
			before func(s *speaker)
			after  func(s *speaker)
			want   []string
		}{
			{"the first that comes is not its first", func(*speaker) {}, func(s *speaker) {
				s.say(2, 0, 0, false)
				s.say(1, 0, 0, true)
				s.say(2, 0, 0, true)
			}, []string{"1", "2"}},
			{"what is under way was there before", func(s *speaker) {
				s.say(1, 0, 0, false)
				s.say(2, 0, 0, false)
			}, func(s *speaker) {
				s.say(3, 0, 0, false)
				s.say(4, 0, 0, false)
			}, []string{"3", "4"}},
			{"what was there before comes again", func(s *speaker) {
				s.say(1, 0, 0, false)
				s.say(2, 0, 0, false)
			}, func(s *speaker) {
				s.say(1, 0, 0, true)
				s.say(2, 0, 0, true)
				s.say(3, 0, 0, false)
			}, []string{"3"}},
			{"a hole was there before", func(s *speaker) {
				at := s.say(1, 0, 0, false)
				s.say(3, 1, at, false)
			}, func(s *speaker) {
				s.say(2, 1, 1, true)
				s.say(3, 1, 1, true)
			}, []string{"2", "3"}},
		} {
			t.Run(fmt.Sprint(test.name, ", clock ", made), func(t *testing.T) {
				server := testServer(t)
				p := join(t, connect(t, server.URL()), "x", historyOptions, nil)
				s := newSpeaker(t, server.URL(), time.Now().Add(made))
				test.before(s)
				late := p.members(t, 1)[0]
				test.after(s)
				late.hears(t, test.want...)
				replayed := listen(t, nil)
				require.NoError(t, p.room.Replay(replayed.s, len(test.want), time.Time{}))
				replayed.hears(t, test.want...)
				p.publish(t, "end")
				late.hears(t, "end")
				replayed.hears(t, "end")
				require.Zero(t, p.room.Stats().MessagesDropped)
			})
		}
	}
}

// TestAStreamThatIsLostIsMadeAgain starts the server again without its data.
// Messages published after that must not be taken for the old ones.
func TestAStreamThatIsLostIsMadeAgain(t *testing.T) {
	o := &natsroom.Options{History: &natsroom.History{Memory: true}}
	w := &world{t: t, server: serverConfig{Dir: t.TempDir()}}
	w.front, w.proxy = newProxy(t, ""), newProxy(t, "")
	w.startServer()
	a := join(t, connect(t, w.front.url()), "x", o, nil)
	b := join(t, connect(t, w.front.url()), "x", o, nil)
	ear := b.members(t, 1)[0]
	for i := range 100 {
		a.publish(t, fmt.Sprint(i))
	}
	for i := range 100 {
		ear.hears(t, fmt.Sprint(i))
	}
	a.flush(t)
	w.killServer()
	w.startServer()
	for i := 100; i < 150; i++ {
		a.publish(t, fmt.Sprint(i))
	}
	for i := 100; i < 150; i++ {
		ear.hears(t, fmt.Sprint(i))
	}
	require.Zero(t, b.room.Stats().MessagesDropped)
}

// TestAStreamThatLosesItsEndGoesOn starts the server again with its files of an
// earlier time, as after a loss of power: sequences of the stream are given out
// twice.
func TestAStreamThatLosesItsEndGoesOn(t *testing.T) {
	w := &world{t: t, server: serverConfig{Dir: t.TempDir()}}
	w.front, w.proxy = newProxy(t, ""), newProxy(t, "")
	w.startServer()
	a := join(t, connect(t, w.front.url()), "x", historyOptions, nil)
	b := join(t, connect(t, w.front.url()), "x", historyOptions, nil)
	away := join(t, connect(t, w.proxy.url()), "x", historyOptions, nil)
	ears := append(b.members(t, 1), away.members(t, 1)...)
	numbers := func(from, to int) (lines []string) {
		for i := from; i < to; i++ {
			lines = append(lines, fmt.Sprint(i))
		}
		return lines
	}
	say := func(from, to int, ears ...*listener) {
		t.Helper()
		for _, line := range numbers(from, to) {
			a.publish(t, line)
		}
		a.flush(t)
		for _, ear := range ears {
			ear.hears(t, numbers(from, to)...)
		}
	}
	say(0, 10, ears...)
	end := b.room.Reached()
	w.killServer()
	synced := t.TempDir()
	require.NoError(t, os.CopyFS(synced, os.DirFS(w.server.Dir)))
	w.proxy.sever()
	w.startServer()
	say(10, 30, ears[0])
	late := join(t, connect(t, w.front.url()), "x", historyOptions, nil) // begins after what is lost
	ears = append(ears, late.members(t, 1)...)
	w.killServer()
	w.server.Dir = synced
	w.proxy.resume()
	w.startServer()
	// What is published before a node has noticed may be reported to it as lost.
	for _, reached := range []func() uint64{a.room.Stored, b.room.Reached, late.room.Reached} {
		require.Eventually(t, func() bool { return reached() <= end }, patience, time.Millisecond)
	}
	say(30, 35, ears...)
	require.Zero(t, b.room.Stats().MessagesDropped)
	require.Zero(t, late.room.Stats().MessagesDropped)
	require.EqualValues(t, 20, away.room.Stats().MessagesDropped, "lost with the power, and reported")
	replayed := listen(t, nil)
	require.NoError(t, b.room.Replay(replayed.s, 0, time.Time{}))
	replayed.hears(t, append(numbers(0, 10), numbers(30, 35)...)...)
}
