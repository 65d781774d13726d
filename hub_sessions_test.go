package chanio_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestASessionInManyHubsGetsEachOfThemInOrder(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		const rooms, messages = 5, 100
		var hubs [rooms]*chanio.Hub
		s, peer := memSession(t, &o)
		for i := range hubs {
			hubs[i] = testHub(t, &o)
			require.NoError(t, hubs[i].Join(s))
		}
		all := readInto(peer)
		var publishers sync.WaitGroup
		for i, h := range hubs {
			publishers.Go(func() {
				for seq := range messages {
					if err := h.Multicast([]byte{byte(i), byte(seq)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		publishers.Wait()
		require.NoError(t, s.CloseWrite())
		got := <-all
		require.Len(t, got, 2*rooms*messages)
		var next [rooms]byte
		for ; len(got) > 0; got = got[2:] {
			require.Equal(t, next[got[0]], got[1], "room %d", got[0])
			next[got[0]]++
		}
		for _, h := range hubs {
			require.Zero(t, h.Len(), "it leaves all of them when it ends")
		}
	})
}

func TestNoHubOfASessionWaitsForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy, quiet := testHub(t, nil), testHub(t, nil)
		s, peer := joinMem(t, busy, nil)
		require.NoError(t, quiet.Join(s))
		for range 100 {
			require.NoError(t, busy.Multicast(make([]byte, chanio.BlockSize)))
		}
		synctest.Wait()
		require.NoError(t, quiet.Multicast([]byte("!")))
		got := make([]byte, 4*chanio.BlockSize)
		_, err := io.ReadFull(peer, got)
		require.NoError(t, err)
		require.Contains(t, string(got), "!")
	})
}

func TestASessionsOwnMessagesDoNotKeepItsHubsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, nil)
		s, peer := joinMem(t, h, nil)
		go func() {
			for s.Put(make([]byte, chanio.BlockSize)) == nil {
			}
		}()
		synctest.Wait()
		require.NoError(t, h.Multicast([]byte("!")))
		got := make([]byte, 4*chanio.BlockSize)
		_, err := io.ReadFull(peer, got)
		require.NoError(t, err)
		require.Contains(t, string(got), "!")
		s.Abort(nil)
	})
}

func TestAHubDoesNotKeepASessionsOwnMessagesWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, nil)
		s, peer := joinMem(t, h, &chanio.Options{SendQueue: 1})
		for range 100 {
			require.NoError(t, h.Multicast(make([]byte, chanio.BlockSize)))
		}
		synctest.Wait()
		require.NoError(t, s.Put([]byte("!")))
		got := make([]byte, 4*chanio.BlockSize)
		_, err := io.ReadFull(peer, got)
		require.NoError(t, err)
		require.Contains(t, string(got), "!")
	})
}

func TestAMemberThatLeavesAndRejoinsGetsBothPartsInOrder(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		h := testHub(t, &o)
		s, peer := joinMem(t, h, &o)
		var want []byte
		publish := func(member bool) {
			m := fmt.Appendf(nil, "%d,", h.Stats().MessagesReceived)
			require.NoError(t, h.Multicast(m))
			if member {
				want = append(want, m...)
			}
		}
		_, other := joinMem(t, h, &o) // so that the log has what it misses
		go io.Copy(io.Discard, other)
		for i := range 20 { // its peer does not read yet
			publish(true)
			if i%3 == 0 {
				synctest.Wait()
			}
			publish(true)
			h.Leave(s)
			if i%2 == 0 {
				publish(false)
			}
			require.NoError(t, h.Join(s))
			require.Equal(t, 2, h.Len())
		}
		publish(true)
		all := readInto(peer)
		require.NoError(t, h.Flush(t.Context()))
		require.NoError(t, s.Flush(t.Context()))
		require.NoError(t, s.CloseWrite())
		require.Equal(t, string(want), string(<-all))
		require.Zero(t, h.Stats().BytesPending)
	})
}

// sessionEnds are the ends of a session that flush what was published before.
var sessionEnds = []struct {
	name string
	end  func(s *chanio.Session) error
}{
	{"CloseWrite", (*chanio.Session).CloseWrite},
	{"Close", func(s *chanio.Session) error { go s.Close(); return nil }},
	{"closing Send", func(s *chanio.Session) error { close(s.Send()); return nil }},
}

func TestASessionThatIsClosedFlushesWhatItsHubsPublishedBefore(t *testing.T) {
	for _, end := range sessionEnds {
		t.Run(end.name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				h, room := testHub(t, &o), testHub(t, &o)
				s, peer := joinMem(t, h, &o)
				require.NoError(t, room.Join(s))
				for i := range 100 {
					require.NoError(t, h.Multicast(message(i, 1000)))
					require.NoError(t, room.Multicast(message(i, 1000)))
				}
				require.NoError(t, end.end(s))
				synctest.Wait()
				all := readInto(peer)
				synctest.Wait()
				require.NoError(t, h.Multicast([]byte("never")))
				require.Zero(t, h.Len())
				peer.CloseWrite()
				require.Len(t, <-all, 200*1000)
				<-s.Done()
				require.NoError(t, s.Err())
				require.Zero(t, s.Stats().Undelivered)
			})
		})
	}
}

func TestShutdownOfAListenerFlushesWhatWasMulticastBefore(t *testing.T) {
	l := listenTCP(t, nil)
	var conns []net.Conn
	for range 5 {
		conn, s := joinTCP(t, l)
		conns = append(conns, conn)
		go func() {
			defer s.Close()
			for range s.Recv() {
			}
		}()
	}
	const messages, size = 100, 4096
	for i := range messages {
		require.NoError(t, l.Multicast(message(i, size)))
	}
	down := make(chan error)
	go func() { down <- l.Shutdown(t.Context()) }()
	for _, conn := range conns {
		got, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Len(t, got, messages*size)
		require.NoError(t, conn.Close())
	}
	require.NoError(t, <-down)
	require.True(t, isClosed(l.Hub().Done()))
	require.NoError(t, l.Hub().Err())
}

// TestSentAndMulticastMessagesNeverSplitEachOther sends messages of all sizes
// both ways and parses the stream.
func TestSentAndMulticastMessagesNeverSplitEachOther(t *testing.T) {
	const messages = 2000
	l := listenTCP(t, &chanio.Options{Lag: chanio.LagBlock, MaxLag: 1 << 18})
	conn, s := joinTCP(t, l)
	var senders sync.WaitGroup
	for id, send := range []func([]byte) error{l.Multicast, s.Put, l.Multicast} {
		senders.Go(func() {
			for seq := range messages {
				if err := send(tagged(id, seq, 7*seq%9000)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	go func() {
		senders.Wait()
		s.CloseWrite()
	}()
	next := make([]int, 3)
	for m := range taggedMessages(t, conn) {
		require.Equal(t, next[m.id], m.seq, "of sender %d", m.id)
		next[m.id]++
	}
	require.Equal(t, []int{messages, messages, messages}, next)
}

// tagged returns message seq of sender id, whose header is followed by n bytes
// that no other message has.
func tagged(id, seq, n int) []byte {
	m := make([]byte, 12, 12+n)
	binary.BigEndian.PutUint32(m, uint32(id))
	binary.BigEndian.PutUint32(m[4:], uint32(seq))
	binary.BigEndian.PutUint32(m[8:], uint32(n))
	for i := range n {
		m = append(m, byte(id*31+seq*7+i))
	}
	return m
}

// A tag identifies a tagged message.
type tag struct{ id, seq int }

// taggedMessages parses a stream into whole tagged messages.
func taggedMessages(t *testing.T, r io.Reader) iter.Seq[tag] {
	return func(yield func(tag) bool) {
		b := bufio.NewReaderSize(r, 1<<16)
		header := make([]byte, 12)
		for {
			if _, err := io.ReadFull(b, header); err != nil {
				if err != io.EOF {
					t.Errorf("the stream ended within a header: %v", err)
				}
				return
			}
			m := tag{int(binary.BigEndian.Uint32(header)), int(binary.BigEndian.Uint32(header[4:]))}
			n := int(binary.BigEndian.Uint32(header[8:]))
			if m.id > 1<<10 || n > 1<<24 {
				t.Errorf("not a message: % x", header)
				return
			}
			rest := make([]byte, n)
			if _, err := io.ReadFull(b, rest); err != nil {
				t.Errorf("message %d of %d is cut: %v", m.seq, m.id, err)
				return
			}
			if !bytes.Equal(tagged(m.id, m.seq, n)[12:], rest) {
				t.Errorf("message %d of %d is damaged", m.seq, m.id)
				return
			}
			if !yield(m) {
				return
			}
		}
	}
}
