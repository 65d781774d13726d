package chanio_test

import (
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/datagram"
)

// runOf returns n datagrams of one byte each, as one batch brings them.
func runOf(n int) []datagram.Packet {
	run := make([]datagram.Packet, n)
	for i := range run {
		run[i] = datagram.Packet{Addr: peerAddress(1), Data: []byte{byte(i)}}
	}
	return run
}

func TestRecvHoldsWhatItCanOfAnUnreceivedBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const queue, batch = 4, 10
		m, l := memPeers(t, t.Context(), &chanio.Options{RecvQueue: queue})
		s := m.session(1, l)
		<-s.Recv()
		s.ReceiveRun(runOf(batch))
		require.Len(t, s.Recv(), queue)
		st := s.Stats()
		require.EqualValues(t, 1+queue, st.MessagesReceived)
		require.EqualValues(t, len("hello")+queue, st.BytesReceived)
		require.EqualValues(t, batch-queue, st.MessagesDropped)
		for i := range queue {
			require.Equal(t, []byte{byte(i)}, <-s.Recv())
		}
	})
}

func TestAHandlerThatOnlyLacksCPUGetsMoreOfABatchThanRecvHolds(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		const queue, batch, batches = 4, 100, 20 // the scheduler may fail to run the handler now and then
		m, l := memPeers(t, t.Context(), &chanio.Options{RecvQueue: queue})
		s := m.session(1, l)
		<-s.Recv()
		got := make(chan int)
		go func() {
			n := 0
			for range s.Recv() {
				n++
			}
			got <- n
		}()
		for range batches {
			synctest.Wait() // the handler waits
			s.ReceiveRun(runOf(batch))
		}
		s.Abort(nil)
		require.Greater(t, <-got, batches*(queue+1)) // one more than fit: the one that the handler held
	})
}

// A receiver that does not receive costs one yield, and no more until it has
// received.
func TestNoOneYieldsToAStalledReceiver(t *testing.T) {
	const queue = 4
	l := listenUDP(t, &chanio.Options{RecvQueue: queue})
	s := l.NewPeer(t.Context(), peerAddress(1))
	recv := s.Recv()
	put := func(n int, yielded bool) chanio.RecvState { return s.PutRun(runOf(n), yielded) }
	require.Equal(t, chanio.RecvFull, put(queue+1, false))
	require.Equal(t, chanio.RecvStalled, put(1, true), "nothing was received meanwhile")
	for range 3 {
		require.Equal(t, chanio.RecvStalled, put(1, false))
	}
	<-recv
	require.Equal(t, chanio.RecvStalled, put(2, false), "one message is not enough")
	for range queue - 1 {
		<-recv
	}
	require.Equal(t, chanio.RecvFull, put(queue, false), "it keeps up again")
	s.ReceiveRun(runOf(1))
	require.Equal(t, chanio.RecvStalled, put(1, false))
}
