package datagram

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// A quay is where a ferry sends from: each call waits until it is let go.
type quay struct {
	calls  chan []byte // the first byte of each packet
	let    chan struct{}
	refuse map[byte]error // packets that can't be sent
}

func newQuay() (*quay, *ferry) {
	q := &quay{calls: make(chan []byte), let: make(chan struct{}), refuse: make(map[byte]error)}
	return q, &ferry{send: q.send}
}

func (q *quay) send(ps []Packet) (int, error) {
	var marks []byte
	for _, p := range ps {
		marks = append(marks, p.Data[0])
	}
	q.calls <- marks
	<-q.let
	for i, m := range marks {
		if err := q.refuse[m]; err != nil {
			return i, err
		}
	}
	return len(ps), nil
}

// packetsOf returns packets that are marked so.
func packetsOf(marks ...byte) (ps []Packet) {
	for _, m := range marks {
		ps = append(ps, Packet{Addr: netip.AddrPortFrom(netip.IPv6Loopback(), 1), Data: []byte{m}})
	}
	return ps
}

func TestWhoWritesWhileAnotherDoesSharesTheNextCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQuay()
		var all sync.WaitGroup
		for _, marks := range []string{"a", "bc", "d"} {
			all.Go(func() {
				n, err := f.write(packetsOf([]byte(marks)...))
				require.NoError(t, err)
				require.Len(t, marks, n)
			})
			synctest.Wait()
		}
		require.Equal(t, "a", string(<-q.calls))
		q.let <- struct{}{}
		require.Equal(t, "bcd", string(<-q.calls))
		all.Go(func() { f.write(packetsOf('e')) })
		synctest.Wait() // e has missed it
		q.let <- struct{}{}
		require.Equal(t, "e", string(<-q.calls))
		q.let <- struct{}{}
		all.Wait()
		require.Empty(t, f.waiting)
	})
}

func TestWhatCannotBeSentFailsItsWriterOnly(t *testing.T) {
	refused := errors.New("refused")
	for _, c := range []struct {
		name   string
		refuse map[byte]error
		calls  []string
		sent   map[byte]int   // by a write's first mark
		failed map[byte]error // likewise
	}{
		{"nothing", nil, []string{"abcdef"}, map[byte]int{'a': 1, 'b': 3, 'e': 2}, nil},
		{
			"the first", map[byte]error{'a': refused}, []string{"abcdef", "bcdef"},
			map[byte]int{'b': 3, 'e': 2}, map[byte]error{'a': refused},
		},
		{
			"one within", map[byte]error{'c': refused}, []string{"abcdef", "ef"},
			map[byte]int{'a': 1, 'b': 1, 'e': 2}, map[byte]error{'b': refused},
		},
		{
			"the last", map[byte]error{'f': refused}, []string{"abcdef"},
			map[byte]int{'a': 1, 'b': 3, 'e': 1}, map[byte]error{'e': refused},
		},
		{
			"two", map[byte]error{'a': refused, 'd': refused}, []string{"abcdef", "bcdef", "ef"},
			map[byte]int{'b': 2, 'e': 2}, map[byte]error{'a': refused, 'b': refused},
		},
		{
			"all that wait, in time", map[byte]error{'c': os.ErrDeadlineExceeded}, []string{"abcdef"},
			map[byte]int{'a': 1, 'b': 1}, map[byte]error{'b': os.ErrDeadlineExceeded, 'e': os.ErrDeadlineExceeded},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, f := newQuay()
				q.refuse = c.refuse
				var all sync.WaitGroup
				all.Go(func() { f.write(packetsOf('x')) })
				synctest.Wait()
				for _, marks := range []string{"a", "bcd", "ef"} {
					all.Go(func() {
						n, err := f.write(packetsOf([]byte(marks)...))
						require.Equal(t, c.sent[marks[0]], n, marks)
						require.Equal(t, c.failed[marks[0]], err, marks)
					})
					synctest.Wait()
				}
				for _, want := range slices.Insert(slices.Clone(c.calls), 0, "x") {
					require.Equal(t, want, string(<-q.calls))
					q.let <- struct{}{}
				}
				all.Wait()
				require.Empty(t, f.waiting)
			})
		})
	}
}

func TestAFerryTakesABoundedNumberOfPacketsButAllOfOneWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQuay()
		var all sync.WaitGroup
		for _, n := range []int{1, ferryPackets - 1, 1, 1, ferryPackets + 1, 1} {
			all.Go(func() { f.write(packetsOf(make([]byte, n)...)) })
			synctest.Wait()
		}
		for _, n := range []int{1, ferryPackets, 1, ferryPackets + 1, 1} {
			require.Len(t, <-q.calls, n)
			q.let <- struct{}{}
		}
		all.Wait()
	})
}
