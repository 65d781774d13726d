package chanio_test

import (
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// TestJoinAndLeaveAtAnyTimeWhilePublishing lets members come and go beside a
// publisher, over real sockets, and compares what each got with what the hub
// promises for the time of its membership.
func TestJoinAndLeaveAtAnyTimeWhilePublishing(t *testing.T) {
	const members = 8
	rounds := 400
	if testing.Short() {
		rounds = 100
	}
	l := listenTCP(t, &chanio.Options{Lag: chanio.LagBlock, MaxLag: 1 << 16, ManualJoin: true})
	h := l.Hub()
	var begun, done atomic.Int64 // messages whose publishing has begun, and is done
	next := make(chan struct{})  // each asks for a message
	var publisher sync.WaitGroup
	publisher.Go(func() {
		seq := -1
		for range next {
			seq++
			begun.Add(1)
			if err := h.Multicast(tagged(0, seq, seq%100)); err != nil {
				t.Error(err)
				return
			}
			done.Add(1)
		}
	})
	// A stay is a membership: it must get [first, last) and may get [from, to).
	type stay struct{ from, first, last, to int64 }
	var clients sync.WaitGroup
	for i := range members {
		conn, s := joinTCP(t, l)
		all := readInto(conn)
		clients.Go(func() {
			pause := rand.New(rand.NewPCG(uint64(i), 3))
			nap := func() {
				for range pause.IntN(10) {
					next <- struct{}{}
				}
			}
			var stays []stay
			for range rounds {
				var v stay
				v.from = done.Load()
				if err := h.Join(s); err != nil {
					t.Error(err)
				}
				v.first = begun.Load()
				nap()
				v.last = done.Load()
				h.Leave(s)
				v.to = begun.Load()
				stays = append(stays, v)
				nap()
			}
			if err := s.CloseWrite(); err != nil {
				t.Error(err)
			}
			got, rest := whole(t, <-all)
			seqs := got[0]
			if rest != 0 || !slices.IsSorted(seqs) {
				t.Errorf("member %d: out of order, or half a message", i)
			}
			for _, v := range stays {
				for seq := v.first; seq < v.last; seq++ {
					if _, found := slices.BinarySearch(seqs, int(seq)); !found {
						t.Errorf("member %d: message %d is missing", i, seq)
						return
					}
				}
			}
			for _, seq := range seqs {
				if !slices.ContainsFunc(stays, func(v stay) bool { return v.from <= int64(seq) && int64(seq) < v.to }) {
					t.Errorf("member %d: got message %d, that was not for it", i, seq)
					return
				}
			}
			if compacted := slices.Compact(slices.Clone(seqs)); len(compacted) != len(seqs) {
				t.Errorf("member %d: got a message twice", i)
			}
		})
	}
	clients.Wait()
	close(next)
	publisher.Wait()
	require.Zero(t, h.Len())
}

// TestManyDoEverythingAtOnce looks for data races and deadlocks. TestMain finds
// leaks.
func TestManyDoEverythingAtOnce(t *testing.T) {
	const sessions, workers = 12, 6
	steps := 2000
	if testing.Short() {
		steps = 300
	}
	for _, lag := range lagPolicies {
		t.Run(lag.String(), func(t *testing.T) {
			o := &chanio.Options{Lag: lag, MaxLag: 1 << 14, WriteTimeout: 200 * time.Millisecond, CloseTimeout: 100 * time.Millisecond}
			var hubs [3]atomic.Pointer[chanio.Hub]
			for i := range hubs {
				hubs[i].Store(chanio.NewHub(t.Context(), o))
			}
			var slots [sessions]atomic.Pointer[chanio.Session]
			var peers sync.WaitGroup
			connect := func(i int, deaf bool) {
				conn, peer := net.Pipe()
				s := chanio.NewSession(t.Context(), conn, o)
				if old := slots[i].Swap(s); old != nil {
					old.Abort(nil)
				}
				peers.Go(func() {
					if !deaf {
						io.Copy(io.Discard, peer)
					}
					<-s.Done()
					peer.Close()
				})
			}
			for i := range slots {
				connect(i, i%4 == 0)
			}
			var all sync.WaitGroup
			for w := range workers {
				all.Go(func() {
					r := rand.New(rand.NewPCG(uint64(w), uint64(lag)))
					for range steps {
						h, i := &hubs[r.IntN(len(hubs))], r.IntN(sessions)
						s := slots[i].Load()
						switch n := r.IntN(100); {
						case n < 50:
							h.Load().Multicast(message(n, r.IntN(2000)))
						case n < 65:
							h.Load().Join(s)
						case n < 75:
							h.Load().Leave(s)
						case n < 80:
							h.Load().Stats()
							h.Load().Len()
						case n < 85:
							select {
							case s.Send() <- message(n, r.IntN(2000)):
							case <-s.Done():
							}
						case n < 88:
							for s := range h.Load().All() {
								s.Stats()
							}
						case n < 90:
							select {
							case h.Load().Send() <- message(n, r.IntN(2000)):
							case <-h.Load().Done():
							}
						case n < 92:
							select {
							case <-h.Load().Events():
							default:
							}
						case n < 94:
							go s.CloseWrite()
						case n < 96:
							connect(i, n%2 == 0)
						case n < 97:
							h.Swap(chanio.NewHub(t.Context(), o)).Close()
						default:
							s.Err()
						}
					}
				})
			}
			all.Wait()
			for i := range hubs {
				require.NoError(t, hubs[i].Load().Close())
			}
			for i := range slots {
				slots[i].Load().Abort(nil)
			}
			peers.Wait()
		})
	}
}
