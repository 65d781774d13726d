package chanio_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/datagram"
)

// packetsOf returns a batch of n packets to a peer, of 0, 1, 2 … bytes.
func packetsOf(to netip.AddrPort, n int) *chanio.PacketBatch {
	b := chanio.NewPacketBatch()
	for i := range n {
		b.Append(chanio.Packet{Addr: to, Data: bytes.Repeat([]byte{byte(i)}, i)})
	}
	return b
}

func TestAPacketBatchHoldsWhatWasAppended(t *testing.T) {
	to, local := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2")
	b := chanio.NewPacketBatch()
	size := 0
	for i := range 300 {
		data := bytes.Repeat([]byte{byte(i)}, i)
		b.Append(chanio.Packet{Addr: to, Local: local, IfIndex: i, Data: data})
		clear(data)
		size += i
	}
	require.Equal(t, 300, b.Len())
	require.Equal(t, size, b.Size())
	n := 0
	for i, p := range b.All() {
		require.Equal(t, n, i)
		require.Equal(t, chanio.Packet{to, local, i, bytes.Repeat([]byte{byte(i)}, i)}, p)
		require.Equal(t, len(p.Data), cap(p.Data))
		n++
	}
	b.Append(b.At(299))
	require.Equal(t, b.At(299), b.At(300))
	b.Release()
	b.Release()
	b.Append(chanio.Packet{Addr: to})
	require.Zero(t, b.Len())
	require.Zero(t, b.Size())
	new(chanio.PacketBatch).Release()
}

func TestBatchesComeBackFromAnEchoWholeAndInOrder(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		for _, o := range []*chanio.Options{nil, {RecvQueue: -1, SendQueue: -1}} {
			server, client := packetConn(t, "udp4", "127.0.0.1:0", o, oneByOne), packetConn(t, "udp4", "127.0.0.1:0", o, oneByOne)
			go func() {
				for b := range server.RecvBatch() {
					select {
					case server.SendBatch() <- b: // as it came
					case <-server.Done():
					}
				}
			}()
			const n, rounds = 100, 3
			for range rounds {
				require.NoError(t, client.PutBatch(packetsOf(server.LocalAddr(), n)))
				require.NoError(t, client.Flush(t.Context()))
				for got := 0; got < n; {
					b, ok := await(t, client.RecvBatch(), "a batch")
					require.True(t, ok)
					require.Positive(t, b.Len())
					for _, p := range b.All() {
						require.Equal(t, bytes.Repeat([]byte{byte(got)}, got), p.Data)
						require.Equal(t, server.LocalAddr(), p.Addr)
						got++
					}
					b.Release()
				}
			}
			require.EqualValues(t, n*rounds, client.Stats().MessagesSent)
			require.EqualValues(t, n*rounds, client.Stats().MessagesReceived)
			require.NoError(t, client.Close())
			_, ok := <-client.Recv()
			require.False(t, ok, "the other form yields nothing")
			_, ok = <-client.RecvBatch()
			require.False(t, ok)
		}
	})
}

func TestEarlyInputIsDeliveredInTheFormThatIsAskedFor(t *testing.T) {
	for _, batches := range []bool{false, true} {
		t.Run(fmt.Sprint("batches: ", batches), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, p := memPacketConn(t, t.Context(), nil)
				m.in <- datagram.Packet{Addr: somePeer, Data: []byte("early")}
				synctest.Wait()
				if batches {
					b := <-p.RecvBatch()
					require.Equal(t, 1, b.Len())
					require.Equal(t, "early", string(b.At(0).Data))
				} else {
					require.Equal(t, "early", string((<-p.Recv()).Data))
				}
				require.EqualValues(t, 1, p.Stats().MessagesReceived)
			})
		})
	}
}

func TestAPacketBatchHasOneOwner(t *testing.T) {
	p := packetConn(t, "udp4", "127.0.0.1:0", nil, false)
	peer := packetConn(t, "udp4", "127.0.0.1:0", nil, false)
	b := packetsOf(peer.LocalAddr(), 2)
	require.NoError(t, p.PutBatch(b))
	require.ErrorIs(t, p.PutBatch(b), chanio.ErrBatchGone)
	require.ErrorIs(t, peer.PutBatch(b), chanio.ErrBatchGone)
	b.Release()
	require.NoError(t, p.Flush(t.Context()))
	nextPacket(t, peer)
	require.Len(t, nextPacket(t, peer).Data, 1, "it was sent nevertheless")

	gone := packetsOf(peer.LocalAddr(), 2)
	gone.Release()
	require.ErrorIs(t, p.PutBatch(gone), chanio.ErrBatchGone)
	p.SendBatch() <- gone
	require.ErrorIs(t, nextEvent(t, p, chanio.EventFailed).Err, chanio.ErrBatchGone)
	p.SendBatch() <- nil
	require.ErrorContains(t, nextEvent(t, p, chanio.EventFailed).Err, "nil batch")
	require.Error(t, p.PutBatch(nil))
	require.ErrorIs(t, p.Flush(t.Context()), chanio.ErrBatchGone)

	require.NoError(t, p.Close())
	left := packetsOf(peer.LocalAddr(), 1)
	require.ErrorIs(t, p.PutBatch(left), chanio.ErrClosed)
	require.Equal(t, 1, left.Len(), "it is still the caller's")
	left.Release()
}

func TestAPacketOfABatchThatCannotBeSentFailsAlone(t *testing.T) {
	p, peer := packetConn(t, "udp4", "127.0.0.1:0", nil, false), packetConn(t, "udp4", "127.0.0.1:0", nil, false)
	b := chanio.NewPacketBatch()
	b.Append(chanio.Packet{Addr: peer.LocalAddr(), Data: []byte("before")})
	b.Append(chanio.Packet{Data: []byte("to nobody")})
	b.Append(chanio.Packet{Addr: peer.LocalAddr(), Data: make([]byte, 65508)})
	b.Append(chanio.Packet{Addr: peer.LocalAddr(), Data: []byte("after")})
	require.NoError(t, p.PutBatch(b))
	require.Equal(t, "before", string(nextPacket(t, peer).Data))
	require.Equal(t, "after", string(nextPacket(t, peer).Data))
	require.ErrorContains(t, p.Flush(t.Context()), "no address")
	require.EqualValues(t, 2, p.Stats().MessagesDropped)
	require.EqualValues(t, 2, p.Stats().MessagesSent)
}

func TestBatchesThatTheKernelDoesNotTakeAreCountedAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), &chanio.Options{WriteTimeout: -1, CloseTimeout: time.Second})
		require.NoError(t, p.PutBatch(packetsOf(somePeer, 4))) // under way
		synctest.Wait()
		require.NoError(t, p.PutBatch(packetsOf(somePeer, 4))) // waits
		<-m.out
		closed := make(chan error)
		go func() { closed <- p.Close() }()
		requireTimeout(t, <-closed)
		require.EqualValues(t, 1, p.Stats().MessagesSent)
		require.EqualValues(t, 2*(0+1+2+3), p.Stats().Undelivered)
	})
}

func TestUnreceivedBatchesStopTheReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), nil)
		p.RecvBatch()
		for range 2 { // one that is buffered, and the reader's
			m.in <- datagram.Packet{Addr: somePeer, Data: []byte("x")}
			synctest.Wait()
		}
		select {
		case m.in <- datagram.Packet{Addr: somePeer, Data: []byte("x")}:
			require.Fail(t, "a third was read")
		case <-time.After(time.Second):
		}
		require.NoError(t, p.Close())
		require.EqualValues(t, 1, p.Stats().MessagesReceived)
		require.EqualValues(t, 1, p.Stats().MessagesDropped)
	})
}

func TestAPacketThatIsKeptBeyondReleaseIsOverwrittenUnderRace(t *testing.T) {
	if !raceEnabled {
		t.Skip("only go test -race does that")
	}
	b := packetsOf(somePeer, 10)
	kept := b.At(9).Data
	want := bytes.Clone(kept)
	b.Release()
	require.NotEqual(t, want, kept)
}

func TestWhoAsksForBatchesAfterTheEndGetsWhatArrivedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), nil)
		for _, data := range []string{"one", "two"} {
			m.in <- datagram.Packet{Addr: somePeer, Data: []byte(data)}
		}
		synctest.Wait()
		require.NoError(t, p.Close())
		b := <-p.RecvBatch()
		require.Equal(t, 2, b.Len())
		require.Equal(t, "one", string(b.At(0).Data))
		require.Equal(t, "two", string(b.At(1).Data))
		require.True(t, isClosed(p.RecvBatch()))
		require.True(t, isClosed(p.Recv()))
	})
}

func TestWhoAsksForPacketsAfterTheEndGetsWhatArrivedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), nil)
		m.in <- datagram.Packet{Addr: somePeer, Data: []byte("one")}
		synctest.Wait()
		require.NoError(t, p.Close())
		require.Equal(t, "one", string((<-p.Recv()).Data))
		require.True(t, isClosed(p.Recv()))
		require.True(t, isClosed(p.RecvBatch()))
	})
}

func TestClosingSendOrSendBatchLosesNothingOfTheOther(t *testing.T) {
	put := func(t *testing.T, p *chanio.PacketConn, data string) {
		require.NoError(t, p.Put(chanio.Packet{Addr: somePeer, Data: []byte(data)}))
	}
	putBatch := func(t *testing.T, p *chanio.PacketConn, data string) {
		b := chanio.NewPacketBatch()
		b.Append(chanio.Packet{Addr: somePeer, Data: []byte(data)})
		require.NoError(t, p.PutBatch(b))
	}
	for _, c := range []struct {
		name  string
		put   func(t *testing.T, p *chanio.PacketConn, data string)
		close func(p *chanio.PacketConn)
	}{
		{"Send", putBatch, func(p *chanio.PacketConn) { close(p.Send()) }},
		{"SendBatch", put, func(p *chanio.PacketConn) { close(p.SendBatch()) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for range 20 { // the writer looks at either channel first
					m, p := memPacketConn(t, t.Context(), nil)
					put(t, p, "first")
					synctest.Wait() // the writer waits for the socket
					c.put(t, p, "last")
					c.close(p)
					require.Equal(t, "first", string((<-m.out).Data))
					synctest.Wait()
					select {
					case last := <-m.out:
						require.Equal(t, "last", string(last.Data))
					case <-p.Done():
						require.Fail(t, "it ended first")
					}
					require.NoError(t, p.Close())
					require.Zero(t, p.Stats().Undelivered)
				}
			})
		})
	}
}
