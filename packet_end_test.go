package chanio_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/datagram"
)

func TestCloseFlushesWhatWasAccepted(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		for _, q := range queueSizes {
			t.Run(q.name, func(t *testing.T) {
				b := packetConn(t, "udp4", "127.0.0.1:0", nil, oneByOne)
				a := packetConn(t, "udp4", "127.0.0.1:0", &chanio.Options{SendQueue: q.queue}, oneByOne)
				const n = 50
				for i := range n {
					require.NoError(t, a.Put(chanio.Packet{Addr: b.LocalAddr(), Data: []byte{byte(i)}}))
				}
				require.NoError(t, a.Close())
				require.NoError(t, a.Err())
				require.EqualValues(t, n, a.Stats().MessagesSent)
				for i := range n {
					require.Equal(t, []byte{byte(i)}, nextPacket(t, b).Data)
				}
			})
		}
	})
}

func TestAFirstPutDuringACloseIsSentOrRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), nil)
		finish, ok := p.BeginPut()
		require.True(t, ok)
		p.BeginClose()
		synctest.Wait()
		require.NoError(t, finish(chanio.Packet{Addr: somePeer, Data: []byte("accepted")}))
		require.Equal(t, "accepted", string((<-m.out).Data))
		<-p.Done()
		require.NoError(t, p.Close())
		require.EqualValues(t, 1, p.Stats().MessagesSent)
	})
}

func TestCloseReportsPacketsLostByAnEarlierEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := memPacketConn(t, t.Context(), &chanio.Options{SendQueue: 8})
		for range 5 {
			require.NoError(t, p.Put(chanio.Packet{Addr: somePeer, Data: []byte("12345")}))
		}
		synctest.Wait() // the socket takes nothing
		p.Abort(errTest)
		<-p.Done()
		require.EqualValues(t, 25, p.Stats().Undelivered)
		require.ErrorIs(t, p.Flush(t.Context()), chanio.ErrClosed)
		require.Equal(t, errTest, p.Close())
	})
}

func TestAnEndpointThatHasEndedStartsNoWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := memPacketConn(t, t.Context(), nil)
		require.NoError(t, p.Close())
		p.Send()
		require.False(t, p.HasWriter())
		require.ErrorIs(t, p.Put(chanio.Packet{Addr: somePeer}), chanio.ErrClosed)
	})
}

func TestAClosedSendMeansClose(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		a, b := packetConn(t, "udp4", "127.0.0.1:0", nil, oneByOne), packetConn(t, "udp4", "127.0.0.1:0", nil, oneByOne)
		send := a.Send()
		send <- chanio.Packet{Addr: b.LocalAddr(), Data: []byte("last")}
		close(send)
		require.Equal(t, "last", string(nextPacket(t, b).Data))
		<-a.Done()
		require.NoError(t, a.Err())
		require.ErrorIs(t, a.Put(chanio.Packet{Addr: b.LocalAddr()}), chanio.ErrClosed)
		require.NoError(t, a.Close())
	})
}

func TestPutOnASendThatAUserClosedIsAnErrorAndNoPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), nil)
		require.NoError(t, p.Put(chanio.Packet{Addr: somePeer, Data: []byte("x")}))
		synctest.Wait() // the writer waits for the socket
		close(p.Send())
		require.ErrorIs(t, p.Put(chanio.Packet{Addr: somePeer}), chanio.ErrClosed)
		require.Equal(t, "x", string((<-m.out).Data))
		<-p.Done()
		require.NoError(t, p.Err())
	})
}

func TestTheEndOfAnEndpoint(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		name string
		end  func(p *chanio.PacketConn, cancel context.CancelCauseFunc)
		want error
	}{
		{"Close", func(p *chanio.PacketConn, _ context.CancelCauseFunc) { p.Close() }, nil},
		{"Abort", func(p *chanio.PacketConn, _ context.CancelCauseFunc) { p.Abort(cause) }, cause},
		{"Abort of nil", func(p *chanio.PacketConn, _ context.CancelCauseFunc) { p.Abort(nil) }, chanio.ErrClosed},
		{"the context", func(_ *chanio.PacketConn, cancel context.CancelCauseFunc) { cancel(cause) }, cause},
		{"the first counts", func(p *chanio.PacketConn, _ context.CancelCauseFunc) { p.Abort(cause); p.Abort(nil); p.Close() }, cause},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachPath(t, func(t *testing.T, oneByOne bool) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				p, err := chanio.ListenPacketBy(ctx, "udp4", "127.0.0.1:0", nil, oneByOne)
				require.NoError(t, err)
				require.NoError(t, p.Err())
				pctx := p.Context()
				require.NoError(t, p.Put(chanio.Packet{Addr: p.LocalAddr(), Data: []byte("to itself")}))
				nextPacket(t, p)

				c.end(p, cancel)

				for range p.Recv() { // closed, once Err is set
				}
				requireEnd := func(got error) {
					t.Helper()
					if c.want == nil {
						require.NoError(t, got)
						return
					}
					require.ErrorIs(t, got, c.want)
				}
				requireEnd(p.Err())
				<-p.Done()
				requireEnd(p.Err())
				var kinds []chanio.EventKind
				for e := range p.Events() {
					kinds = append(kinds, e.Kind)
					if e.Kind == chanio.EventStopped {
						requireEnd(e.Err)
					}
				}
				require.Equal(t, []chanio.EventKind{chanio.EventStarted, chanio.EventStopped}, kinds)
				require.Error(t, pctx.Err())
				if c.want != nil {
					requireEnd(context.Cause(pctx))
				}
				require.Equal(t, context.Cause(pctx), context.Cause(p.Context()))

				require.ErrorIs(t, p.Put(chanio.Packet{Addr: p.LocalAddr()}), chanio.ErrClosed)
				require.ErrorIs(t, p.Put(chanio.Packet{Addr: p.LocalAddr()}), net.ErrClosed)
				require.ErrorIs(t, p.JoinGroup(netip.MustParseAddr("239.1.1.1"), nil), chanio.ErrClosed)
				require.NoError(t, p.Close(), "idempotent")
				require.NoError(t, p.Flush(t.Context()), "nothing was lost")
			})
		})
	}
}

func TestCloseGivesUpWhenItsTimeIsUp(t *testing.T) {
	for _, q := range queueSizes {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, p := memPacketConn(t, t.Context(), &chanio.Options{SendQueue: q.queue, WriteTimeout: -1})
				accepted := max(q.queue, 0) + 1 // one is with the writer
				if q.queue == 0 {
					accepted = chanio.DefaultQueue + 1
				}
				for range accepted {
					require.NoError(t, p.Put(chanio.Packet{Addr: somePeer, Data: []byte("12345")}))
					synctest.Wait()
				}
				began := time.Now()
				err := p.Close()
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				require.ErrorContains(t, err, "CloseTimeout of 5s")
				require.Equal(t, err, p.Err())
				require.Equal(t, chanio.DefaultCloseTimeout, time.Since(began))
				require.EqualValues(t, 5*accepted, p.Stats().Undelivered)
				require.ErrorIs(t, p.Flush(t.Context()), chanio.ErrClosed)
				require.Equal(t, err, p.Close(), "idempotent")
				_ = m
			})
		})
	}
}

func TestCloseWaitsForTheKernelAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), &chanio.Options{SendQueue: 3})
		for i := range 3 {
			require.NoError(t, p.Put(chanio.Packet{Addr: somePeer, Data: []byte{byte(i)}}))
		}
		closed := make(chan error)
		go func() { closed <- p.Close() }()
		synctest.Wait()
		require.ErrorIs(t, p.Put(chanio.Packet{Addr: somePeer}), chanio.ErrClosed, "nothing new")
		for i := range 3 {
			time.Sleep(time.Second)
			require.Equal(t, []byte{byte(i)}, (<-m.out).Data)
		}
		require.NoError(t, <-closed)
		require.NoError(t, p.Err())
		require.Zero(t, p.Stats().Undelivered)
		require.EqualValues(t, 3, p.Stats().BytesSent)
	})
}

func TestWithoutACloseTimeoutCloseWaitsAsLongAsItTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), &chanio.Options{CloseTimeout: -1, WriteTimeout: -1})
		require.NoError(t, p.Put(chanio.Packet{Addr: somePeer, Data: []byte("x")}))
		closed := make(chan error)
		go func() { closed <- p.Close() }()
		time.Sleep(time.Hour)
		<-m.out
		require.NoError(t, <-closed)
	})
}

func TestTheContextsEndDoesNotWaitForTheKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		_, p := memPacketConn(t, ctx, &chanio.Options{SendQueue: 3})
		for range 3 {
			require.NoError(t, p.Put(chanio.Packet{Addr: somePeer, Data: []byte("12345")}))
		}
		go p.Close()
		time.Sleep(time.Second)
		began := time.Now()
		cancel()
		<-p.Done()
		require.Zero(t, time.Since(began))
		require.ErrorIs(t, p.Err(), context.Canceled)
		require.EqualValues(t, 15, p.Stats().Undelivered)
		require.Zero(t, p.Stats().BytesPending)
	})
}

func TestTheEndReleasesAPutThatWaits(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(p *chanio.PacketConn)
	}{
		{"Close", func(p *chanio.PacketConn) { p.Close() }},
		{"Abort", func(p *chanio.PacketConn) { p.Abort(nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, p := memPacketConn(t, t.Context(), &chanio.Options{SendQueue: -1})
				require.NoError(t, p.Put(chanio.Packet{Addr: somePeer}))
				synctest.Wait() // or the writer might still take the next one with it
				put := make(chan error)
				go func() { put <- p.Put(chanio.Packet{Addr: somePeer, Data: []byte("no room")}) }()
				synctest.Wait()
				go c.end(p)
				require.ErrorIs(t, <-put, chanio.ErrClosed)
				<-p.Done()
				require.Zero(t, p.Stats().Undelivered, "it was not accepted")
			})
		})
	}
}

func TestAPacketThatTheKernelRejectsFailsAfterWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), &chanio.Options{SendQueue: -1})
		began := time.Now()
		require.NoError(t, p.Put(chanio.Packet{Addr: somePeer, Data: []byte("lost")}))
		synctest.Wait() // or the writer could take both at once
		require.NoError(t, p.Put(chanio.Packet{Addr: somePeer, Data: []byte("sent")}), "waits for room, which there is then")
		require.Equal(t, chanio.DefaultWriteTimeout, time.Since(began))
		e := nextEvent(t, p, chanio.EventFailed)
		require.ErrorIs(t, e.Err, os.ErrDeadlineExceeded)
		require.ErrorContains(t, e.Err, somePeer.String())
		require.Equal(t, "sent", string((<-m.out).Data))
		require.NoError(t, p.Err())
	})
}

func TestUnreceivedMessagesStopTheReading(t *testing.T) {
	for _, q := range queueSizes {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, p := memPacketConn(t, t.Context(), &chanio.Options{RecvQueue: q.queue})
				room := max(q.queue, 0) + 1 // one is with the reader
				if q.queue == 0 {
					room = chanio.DefaultMessageQueue + 1
				}
				for i := range room {
					m.in <- datagram.Packet{Addr: somePeer, Data: []byte{byte(i)}}
				}
				synctest.Wait()
				select {
				case m.in <- datagram.Packet{}:
					require.Fail(t, "it reads on")
				default:
				}
				for i := range room {
					require.Equal(t, []byte{byte(i)}, nextPacket(t, p).Data)
				}
				m.in <- datagram.Packet{Addr: somePeer, Data: []byte("again")}
				require.Equal(t, "again", string(nextPacket(t, p).Data))
				require.EqualValues(t, room+1, p.Stats().MessagesReceived)
			})
		})
	}
}

func TestReadButUnreceivedMessagesAreCountedAsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), &chanio.Options{RecvQueue: -1})
		m.in <- datagram.Packet{Addr: somePeer, Data: []byte("nobody receives it")}
		synctest.Wait()
		require.NoError(t, p.Close())
		_, open := <-p.Recv()
		require.False(t, open)
		require.EqualValues(t, 1, p.Stats().MessagesDropped)
		require.Zero(t, p.Stats().MessagesReceived)
	})
}

func TestFlushReturnsWhenTheKernelHasEverythingAccepted(t *testing.T) {
	for _, q := range queueSizes {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, p := memPacketConn(t, t.Context(), &chanio.Options{SendQueue: q.queue, WriteTimeout: -1})
				require.NoError(t, p.Flush(t.Context()), "nothing was accepted")
				go func() {
					for range 3 {
						time.Sleep(time.Second)
						<-m.out
					}
				}()
				began := time.Now()
				for range 3 {
					require.NoError(t, p.Put(chanio.Packet{Addr: somePeer, Data: []byte("12345")}))
				}
				require.NoError(t, p.Flush(t.Context()))
				require.Equal(t, 3*time.Second, time.Since(began))
				require.EqualValues(t, 15, p.Stats().BytesSent, "exact")
			})
		})
	}
}

func TestFlushEndsWithItsContextAndWithTheEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := memPacketConn(t, t.Context(), &chanio.Options{WriteTimeout: -1})
		require.NoError(t, p.Put(chanio.Packet{Addr: somePeer, Data: []byte("x")}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, p.Flush(ctx), context.DeadlineExceeded)
		flushed := make(chan error)
		go func() { flushed <- p.Flush(t.Context()) }()
		synctest.Wait()
		p.Abort(nil)
		require.ErrorIs(t, <-flushed, chanio.ErrClosed)
	})
}
