package chanio_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestMembersOfDifferentFramingsGetTheSameMessagesInTheSameOrder(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		const publishers, each = 4, 100
		h := testHub(t, &o)
		framings := []chanio.Framing{nil, chanio.Lines{}, chanio.LengthPrefix{Size: 2}, chanio.Lines{CRLF: true}}
		var got [2][]<-chan []byte
		var sessions []*chanio.Session
		for i := range got { // two of each
			for _, f := range framings {
				o := o
				o.Framing = f
				s, peer := joinMem(t, h, &o)
				got[i] = append(got[i], readInto(peer))
				sessions = append(sessions, s)
			}
		}
		var all sync.WaitGroup
		for p := range publishers {
			all.Go(func() {
				for i := range each {
					if err := h.Multicast(fmt.Appendf(nil, "%d.%d;", p, i)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		require.NoError(t, h.Flush(t.Context()))
		require.EqualValues(t, publishers*each, h.Stats().MessagesReceived)
		require.EqualValues(t, len(sessions)*publishers*each, h.Stats().MessagesSent)
		for _, s := range sessions {
			require.NoError(t, s.CloseWrite())
		}
		require.Zero(t, h.Len())
		synctest.Wait()
		require.False(t, h.HasOtherFeeds(), "a framing that no member has costs nothing")
		raw := string(<-got[0][0])
		require.Equal(t, publishers*each, strings.Count(raw, ";"))
		require.Equal(t, raw, string(<-got[1][0]))
		for i := range got {
			require.Equal(t, raw, strings.ReplaceAll(string(<-got[i][1]), "\n", ""))
			require.Equal(t, raw, strings.ReplaceAll(string(<-got[i][3]), "\r\n", ""))
			require.Equal(t, raw, string(unprefixed(t, <-got[i][2])))
		}
	})
}

// unprefixed removes the headers of LengthPrefix{Size: 2}.
func unprefixed(t *testing.T, stream []byte) (all []byte) {
	t.Helper()
	for len(stream) > 0 {
		m, n, err := chanio.LengthPrefix{Size: 2}.Next(stream, 1<<16)
		require.NoError(t, err)
		require.Positive(t, n)
		all = append(all, m...)
		stream = stream[n:]
	}
	return all
}

// A heldFraming is Lines, whose next AppendFrame waits.
type heldFraming struct {
	chanio.Lines
	hold chan struct{} // AppendFrame receives from it as often as it takes one from held
	held chan struct{}
}

func (f heldFraming) AppendFrame(dst, message []byte) ([]byte, error) {
	select {
	case <-f.held:
		<-f.hold
	default:
	}
	return f.Lines.AppendFrame(dst, message)
}

func TestAMemberWithANewFramingMissesNoMessage(t *testing.T) {
	for _, publish := range []struct {
		name string
		do   func(h *chanio.Hub, m string) error
	}{
		{"message", func(h *chanio.Hub, m string) error { return h.Multicast([]byte(m)) }},
		{"batch", func(h *chanio.Hub, m string) error {
			b := chanio.NewBatch()
			defer b.Release()
			b.Append([]byte(m))
			return h.MulticastBatch(b)
		}},
	} {
		t.Run(publish.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := heldFraming{hold: make(chan struct{}), held: make(chan struct{}, 1)}
				h := testHub(t, &chanio.Options{Framing: f})
				early, earlyPeer := joinMem(t, h, &chanio.Options{Framing: f})
				f.held <- struct{}{}
				done := make(chan error)
				go func() { done <- publish.do(h, "begun before") }()
				synctest.Wait()
				late, latePeer := joinMem(t, h, &chanio.Options{Framing: chanio.Lines{CRLF: true}})
				require.NoError(t, h.Multicast([]byte("begun after")))
				f.hold <- struct{}{}
				require.NoError(t, <-done)
				got, lateGot := readInto(earlyPeer), readInto(latePeer)
				require.NoError(t, early.CloseWrite())
				require.NoError(t, late.CloseWrite())
				require.Equal(t, "begun after\nbegun before\n", string(<-got))
				require.Equal(t, "begun after\r\nbegun before\r\n", string(<-lateGot))
			})
		})
	}
}

func TestAMessageThatAFramingCannotCarryReachesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &chanio.Options{MaxLag: 1000})
		events := h.Events()
		s1, raw := joinMem(t, h, nil)
		s2, line := joinMem(t, h, &chanio.Options{Framing: chanio.Lines{}})
		s3, line2 := joinMem(t, h, &chanio.Options{Framing: chanio.Lines{}})
		kinds(events)
		require.NoError(t, h.Multicast([]byte("one")))
		require.NoError(t, h.Multicast([]byte("not\na line")))
		read(t, raw, "onenot\na line")
		synctest.Wait()
		require.NoError(t, h.Multicast(make([]byte, 1000)), "with its end it is larger than MaxLag")
		read(t, raw, string(make([]byte, 1000)))
		synctest.Wait()
		require.NoError(t, h.Multicast([]byte("two")))
		read(t, raw, "two")
		read(t, line, "one\ntwo\n")
		read(t, line2, "one\ntwo\n")
		require.EqualValues(t, 4, h.Stats().MessagesDropped)
		require.Zero(t, s1.Stats().MessagesDropped)
		for _, s := range []*chanio.Session{s2, s3} {
			require.EqualValues(t, 2, s.Stats().MessagesDropped)
			require.NoError(t, s.Err())
		}
		failed := make(map[*chanio.Session][]error)
		for range 4 {
			e := <-events
			require.Equal(t, chanio.EventFailed, e.Kind)
			failed[e.Session] = append(failed[e.Session], e.Err)
		}
		for _, s := range []*chanio.Session{s2, s3} {
			require.ErrorContains(t, failed[s][0], "newline")
			require.ErrorIs(t, failed[s][1], chanio.ErrMessageTooLarge)
		}

		h.Leave(s1)
		require.ErrorContains(t, h.Multicast([]byte("not\na line")), "newline", "no member can take it")
		require.EqualValues(t, 4, h.Stats().MessagesDropped)
		synctest.Wait() // for the writers' counts
		require.Zero(t, h.Stats().BytesPending)
	})
}

func TestEventsOfAMessageThatCannotBeCarriedAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &chanio.Options{EventQueue: 5})
		joinMem(t, h, nil)
		for range 20 {
			joinMem(t, h, &chanio.Options{Framing: chanio.Lines{}})
		}
		events := h.Events()
		lost := h.Stats().EventsDropped
		require.NoError(t, h.Multicast([]byte("\n")))
		require.Len(t, kinds(events), 5)
		require.EqualValues(t, 20, h.Stats().EventsDropped-lost)
		require.EqualValues(t, 20, h.Stats().MessagesDropped)
	})
}

func TestMulticastExceptReachesAllOthers(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		h := testHub(t, &o)
		lined := o
		lined.Framing = chanio.Lines{}
		a, pa := joinMem(t, h, &o)
		b, pb := joinMem(t, h, &o)
		c, pc := joinMem(t, h, &lined)
		stranger, _ := memSession(t, &o)
		want := make(map[*chanio.Session]string)
		for i := range 60 {
			m := fmt.Sprintf("%d,", i)
			except := []*chanio.Session{a, b, c, stranger, nil}[i%5]
			require.NoError(t, h.MulticastExcept([]byte(m), except))
			for _, s := range []*chanio.Session{a, b, c} {
				if s != except {
					want[s] += m
				}
			}
			if i%7 == 0 {
				synctest.Wait()
			}
		}
		if o.SendQueue < 0 {
			require.Positive(t, a.PartsBehind())
		}
		all := []<-chan []byte{readInto(pa), readInto(pb), readInto(pc)}
		require.NoError(t, h.Flush(t.Context()))
		require.Zero(t, h.Stats().BytesPending)
		require.Zero(t, h.Kept())
		for i, s := range []*chanio.Session{a, b, c} {
			require.NoError(t, s.CloseWrite())
			require.Equal(t, want[s], strings.ReplaceAll(string(<-all[i]), "\n", ""), "member %d", i)
		}
		only := testHub(t, nil)
		s, _ := joinMem(t, only, nil)
		require.NoError(t, only.MulticastExcept([]byte("nobody"), s))
		require.Zero(t, only.Stats().MessagesReceived)
	})
}

func TestABatchIsMulticastInOrderWithNothingInBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const publishers, batches, size = 3, 20, 10
		h := testHub(t, nil)
		s, peer := joinMem(t, h, nil)
		l, linePeer := joinMem(t, h, &chanio.Options{Framing: chanio.Lines{}})
		raw, line := readInto(peer), readInto(linePeer)
		var all sync.WaitGroup
		for p := range publishers {
			all.Go(func() {
				for range batches {
					b := chanio.NewBatch()
					for i := range size {
						b.Append(fmt.Appendf(nil, "%d%d", p, i))
					}
					if err := h.MulticastBatch(b); err != nil || b.Len() != size {
						t.Error(err)
					}
					b.Release()
				}
			})
		}
		all.Wait()
		require.NoError(t, s.CloseWrite())
		require.NoError(t, l.CloseWrite())
		got := <-raw
		require.Len(t, got, 2*publishers*batches*size)
		require.Equal(t, string(got), strings.ReplaceAll(string(<-line), "\n", ""))
		for ; len(got) > 0; got = got[2*size:] {
			for i := range size {
				require.Equal(t, fmt.Sprintf("%c%d", got[0], i), string(got[2*i:2*i+2]))
			}
		}
	})
}

func TestMulticastBatchReportsWhatItCannotPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &chanio.Options{Framing: chanio.Lines{}, MaxLag: 1000})
		s, peer := joinMem(t, h, &chanio.Options{Framing: chanio.Lines{}})
		foul := chanio.NewBatch()
		for _, m := range []string{"a", "b\n", "c"} {
			foul.Append([]byte(m))
		}
		require.ErrorContains(t, h.MulticastBatch(foul), "message 1 of 3")
		require.Zero(t, h.Stats().MessagesReceived, "none of it")
		require.NoError(t, h.MulticastBatch(chanio.NewBatch()))

		r, rawPeer := joinMem(t, h, nil)
		raw := readInto(rawPeer)
		require.NoError(t, h.MulticastBatch(foul), "one member can have it all")
		require.EqualValues(t, 1, h.Stats().MessagesDropped)
		all := readInto(peer)
		large := chanio.NewBatch()
		for range 10 {
			large.Append(make([]byte, 300))
			synctest.Wait()
		}
		require.NoError(t, h.MulticastBatch(large), "larger than MaxLag")
		require.NoError(t, h.Flush(t.Context()))
		require.NoError(t, s.CloseWrite())
		require.NoError(t, r.CloseWrite())
		require.Equal(t, 4+10*301, len(<-all))
		require.Equal(t, 4+10*300, len(<-raw))

		gone := chanio.NewBatch()
		gone.Append([]byte("x"))
		gone.Release()
		require.Error(t, h.MulticastBatch(gone))
		require.NoError(t, h.Close())
		require.ErrorIs(t, h.MulticastBatch(foul), chanio.ErrClosed)
		require.ErrorIs(t, h.MulticastBatch(chanio.NewBatch()), chanio.ErrClosed)
	})
}

func TestHubsOfASessionAreThoseThatItIsAMemberOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := memSession(t, nil)
		require.Empty(t, slices.Collect(s.Hubs()))
		var want []*chanio.Hub
		for i := range 2 * chanio.FewHubs {
			h := testHub(t, nil)
			require.NoError(t, h.Join(s))
			require.NoError(t, h.Multicast([]byte("kept back")))
			if i%3 == 0 {
				h.Leave(s) // its place is still there
			} else {
				want = append(want, h)
			}
		}
		require.ElementsMatch(t, want, slices.Collect(s.Hubs()))
		for range s.Hubs() {
			break
		}
		s.Abort(nil)
		<-s.Done()
		require.Empty(t, slices.Collect(s.Hubs()))
	})
}
