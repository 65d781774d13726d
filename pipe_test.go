package chanio_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

// A piped is a Pipe between two connections, as a client and a server see it.
type piped struct {
	client, server net.Conn
	a, b           *chanio.Session
	over           chan error // what Pipe has returned
}

func pipeUp(t *testing.T, ctx context.Context, network string, o *chanio.Options) *piped {
	t.Helper()
	p := &piped{over: make(chan error, 1)}
	var one, other net.Conn
	p.client, one = connected(t, network)
	other, p.server = connected(t, network)
	p.a, p.b = chanio.NewSession(t.Context(), one, o), chanio.NewSession(t.Context(), other, o)
	go func() { p.over <- chanio.Pipe(ctx, p.a, p.b) }()
	return p
}

// connected is socketPair within the test's patience.
func connected(t *testing.T, network string) (a, b net.Conn) {
	t.Helper()
	a, b = socketPair(t, network)
	for _, c := range []net.Conn{a, b} {
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		t.Cleanup(func() { c.Close() })
	}
	return a, b
}

func TestPipeCopiesBothWaysUntilBothHaveEnded(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, q := range queues {
			t.Run(network+"/"+q.name, func(t *testing.T) {
				p := pipeUp(t, t.Context(), network, &q.o)
				request := make([]byte, 8<<20) // more than the kernel holds: each side waits for the other
				rand.Read(request)
				sent := make(chan error, 1)
				go func() {
					_, err := p.client.Write(request)
					p.client.(halfCloser).CloseWrite()
					sent <- err
				}()
				got, err := io.ReadAll(p.server)
				require.NoError(t, err)
				require.True(t, bytes.Equal(request, got))
				require.NoError(t, <-sent)

				go func() { // long after its peer's end of stream
					p.server.Write(got)
					p.server.Close()
				}()
				back, err := io.ReadAll(p.client)
				require.NoError(t, err)
				require.True(t, bytes.Equal(request, back))
				require.NoError(t, <-p.over)
			})
		}
	}
}

// A server answers, closes, and takes no more: its answer arrives whole.
func TestPipePassesOnInputFromAPeerThatStoppedReading(t *testing.T) {
	p := pipeUp(t, t.Context(), "tcp", nil)
	_, err := p.client.Write([]byte("a request"))
	require.NoError(t, err)
	_, err = io.ReadFull(p.server, make([]byte, 9))
	require.NoError(t, err)
	answer := bytes.Repeat([]byte("answer "), 8500) // less than a window: a reset discards what the kernel has not sent
	_, err = p.server.Write(answer)
	require.NoError(t, err)
	require.NoError(t, p.server.Close())
	go func() { // it goes on sending until it is told to stop
		for {
			if _, err := p.client.Write([]byte("more")); err != nil {
				return
			}
		}
	}()
	got := make([]byte, len(answer))
	_, err = io.ReadFull(p.client, got)
	require.NoError(t, err)
	require.True(t, bytes.Equal(answer, got))
	<-p.over
}

// A proxy puts a header in front of what it copies, or looks at how a stream begins.
func TestPipeContinuesAfterItsCallersOwnMessages(t *testing.T) {
	for range 50 { // an order that came about by chance would not last
		client, one := connected(t, "tcp")
		other, server := connected(t, "tcp")
		a, b := chanio.NewSession(t.Context(), one, nil), chanio.NewSession(t.Context(), other, nil)
		_, err := client.Write([]byte("first "))
		require.NoError(t, err)
		first, _ := await(t, a.Recv(), "what the stream begins with")
		_, err = client.Write([]byte("second"))
		require.NoError(t, err)
		_, err = server.Write([]byte("answer"))
		require.NoError(t, err)
		require.NoError(t, a.Put([]byte("greeting ")))
		require.NoError(t, b.Put([]byte("header ")))
		require.NoError(t, b.Put(first))
		over := make(chan error, 1)
		go func() { over <- chanio.Pipe(t.Context(), a, b) }()
		require.NoError(t, client.(halfCloser).CloseWrite())
		require.NoError(t, server.(halfCloser).CloseWrite())
		got, err := io.ReadAll(server)
		require.NoError(t, err)
		require.Equal(t, "header first second", string(got))
		got, err = io.ReadAll(client)
		require.NoError(t, err)
		require.Equal(t, "greeting answer", string(got))
		require.NoError(t, <-over)
	}
}

func TestPipePassesAnAbortOn(t *testing.T) {
	p := pipeUp(t, t.Context(), "tcp", nil)
	requirePassed(t, p.client, p.server)
	require.NoError(t, p.server.(*net.TCPConn).SetLinger(0))
	require.NoError(t, p.server.Close())
	_, err := p.client.Read(make([]byte, 1))
	require.ErrorIs(t, err, errReset, "a stream that broke off must not look like a whole one")
	require.ErrorIs(t, <-p.over, errReset)
}

func TestPipePassesABrokenStreamOnAsBroken(t *testing.T) {
	for _, cut := range []struct {
		name string
		end  string
		err  error
	}{
		{"inside a message", "PAY 1000", io.ErrUnexpectedEOF},
		{"after a message that is too long", "more than 16 bytes\n", chanio.ErrMessageTooLarge},
	} {
		t.Run(cut.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, one := chaniotest.Pipe(nil)
				other, server := memPair()
				o := &chanio.Options{Framing: chanio.Lines{}, MaxMessage: 16, SendQueue: -1}
				a, b := chanio.NewSession(t.Context(), one, o), chanio.NewSession(t.Context(), other, o)
				over := make(chan error, 1)
				go func() { over <- chanio.Pipe(t.Context(), a, b) }()
				for range 4 { // batches, until Pipe waits for the server
					_, err := io.WriteString(client, "line\n")
					require.NoError(t, err)
					synctest.Wait()
				}
				_, err := io.WriteString(client, cut.end)
				require.NoError(t, err)
				require.NoError(t, client.CloseWrite())
				synctest.Wait() // so the peer's end of stream is seen before Pipe learns of the cut
				_, err = io.Copy(io.Discard, server)
				require.ErrorIs(t, err, errReset)
				require.ErrorIs(t, <-over, cut.err)
				require.ErrorIs(t, b.Err(), cut.err)
			})
		})
	}
}

func requirePassed(t *testing.T, from, to net.Conn) {
	t.Helper()
	_, err := from.Write([]byte("hello"))
	require.NoError(t, err)
	got := make([]byte, 5)
	_, err = io.ReadFull(to, got)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
}

func TestTheEndOfItsContextEndsAPipeAndBothSessions(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	p := pipeUp(t, ctx, "tcp", nil)
	requirePassed(t, p.client, p.server)
	cancel(errTest)
	require.ErrorIs(t, <-p.over, errTest)
	require.ErrorIs(t, p.a.Err(), errTest)
	require.ErrorIs(t, p.b.Err(), errTest)
}

func TestPipeFramesMessagesForTheOtherSide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, one := memPair()
		other, server := memPair()
		a := chanio.NewSession(t.Context(), one, &chanio.Options{Framing: chanio.Lines{}})
		b := chanio.NewSession(t.Context(), other, &chanio.Options{Framing: chanio.LengthPrefix{Size: 1}})
		over := make(chan error, 1)
		go func() { over <- chanio.Pipe(t.Context(), a, b) }()
		go client.Write([]byte("hello\n"))
		got := make([]byte, 6)
		_, err := io.ReadFull(server, got)
		require.NoError(t, err)
		require.Equal(t, "\x05hello", string(got))

		// A message that the other side cannot carry ends both.
		go server.Write([]byte("\x03a\nb"))
		err = <-over
		require.ErrorContains(t, err, "newline")
	})
}

func TestASlowReaderOfAPipeStopsTheOtherPeer(t *testing.T) {
	p := pipeUp(t, t.Context(), "tcp", &chanio.Options{WriteTimeout: -1})
	written := 0
	for stalled := false; !stalled; { // until nothing is taken for a second
		require.NoError(t, p.client.SetWriteDeadline(time.Now().Add(time.Second)))
		n, err := p.client.Write(make([]byte, 64<<10))
		written += n
		if err != nil {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			stalled = n == 0
		}
		require.Less(t, written, 256<<20, "nothing holds it up")
	}
	require.NoError(t, p.client.(halfCloser).CloseWrite())
	got, err := io.Copy(io.Discard, p.server)
	require.NoError(t, err)
	require.EqualValues(t, written, got)
	p.server.Close()
	assert.NoError(t, <-p.over)
}

func TestADatagramLostBeforeAPipeIsToldByClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := chanio.DialOver(t.Context(), newMemSocket(), peerAddress(1), nil)
		require.NoError(t, err)
		b, err := chanio.DialOver(t.Context(), newMemSocket(), peerAddress(2), nil)
		require.NoError(t, err)
		a.Send() <- make([]byte, 1<<16) // more than a datagram holds
		over := make(chan error, 1)
		go func() { over <- chanio.Pipe(t.Context(), a, b) }()
		synctest.Wait()
		require.ErrorIs(t, a.Close(), chanio.ErrMessageTooLarge)
		require.NoError(t, b.Close())
		require.NoError(t, <-over)
	})
}

func TestADatagramLostBeforeAPipeIsToldThoughTheContextHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := chanio.DialOver(t.Context(), newMemSocket(), peerAddress(1), nil)
		require.NoError(t, err)
		b, err := chanio.DialOver(t.Context(), newMemSocket(), peerAddress(2), nil)
		require.NoError(t, err)
		a.NoteLoss(errTest)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, chanio.Pipe(ctx, a, b), context.Canceled)
		require.ErrorIs(t, a.Close(), errTest)
	})
}
