package chanio_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestRestartKeepsTheChannelsAndTheAddress(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, q := range queues {
			t.Run(network+"/"+q.name, func(t *testing.T) {
				address := anyAddress(t, network)
				l := listenOn(t, t.Context(), network, address, &q.o)
				handled := serveEach(l, sendBack)
				before, sessions, events := l.Addr().String(), l.Sessions(), l.Events()
				for range 5 {
					conn := connectTo(t, l)
					_, err := conn.Write([]byte("x"))
					require.NoError(t, err)
					_, err = io.ReadFull(conn, make([]byte, 1))
					require.NoError(t, err)
					all := slices.Collect(l.All())
					require.Len(t, all, 1)

					require.NoError(t, l.Restart(t.Context()))
					require.True(t, isClosed(all[0].Done()))
					require.ErrorIs(t, all[0].Err(), chanio.ErrClosed)
					require.Equal(t, before, l.Addr().String())
					require.Equal(t, sessions, l.Sessions())
					require.Equal(t, events, l.Events())
					require.NoError(t, l.Err())
				}
				require.EqualValues(t, 5, l.Stats().Accepted)
				require.NoError(t, l.Close())
				await(t, handled, "the handlers")
				require.ErrorIs(t, l.Restart(t.Context()), chanio.ErrClosed)
			})
		}
	}
}

func TestAnAddressIsBoundAgainOnlyWhenItIsFree(t *testing.T) {
	ln := &slowClose{memListener: newMemListener(), release: make(chan struct{})}
	interrupt, release := chanio.AcceptFrom(ln)
	go interrupt()
	_, err := ln.Accept() // has failed already, and the address is not free
	require.ErrorIs(t, err, net.ErrClosed)
	returned := make(chan bool, 1)
	go func() {
		release()
		returned <- ln.free.Load()
	}()
	require.Eventually(t, func() bool { return len(returned) == 1 || waitsIn("(*streams).release") }, patience, time.Millisecond)
	close(ln.release)
	free, _ := await(t, returned, "the release")
	require.True(t, free)
}

// waitsIn reports whether a goroutine waits in that function or in one that it
// has called.
func waitsIn(function string) bool {
	dump := make([]byte, 1<<20)
	dump = dump[:runtime.Stack(dump, true)]
	for goroutine := range strings.SplitSeq(string(dump), "\n\n") {
		state, calls, _ := strings.Cut(goroutine, "\n")
		runs := strings.Contains(state, "[runn") // running or runnable
		if !runs && strings.Contains(calls, function) {
			return true
		}
	}
	return false
}

// slowClose is a listener whose Close returns some time after Accept has
// failed.
type slowClose struct {
	*memListener
	release chan struct{}
	free    atomic.Bool
}

func (l *slowClose) Close() error {
	l.memListener.Close()
	<-l.release
	l.free.Store(true)
	return nil
}

func TestRestartDropsWhatNobodyReceived(t *testing.T) {
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
	connectTo(t, l)
	for e := range l.Events() {
		if e.Kind == chanio.EventConnected {
			break
		}
	}
	require.NoError(t, l.Restart(t.Context()))
	require.Zero(t, l.Len())
	connectTo(t, l)
	s, ok := await(t, l.Sessions(), "a session of the new listener")
	require.True(t, ok)
	require.NoError(t, s.Err())
}

func TestRestartAfterServeIsUnsupported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ln := serveMem(t, nil)
		require.ErrorIs(t, l.Restart(t.Context()), errors.ErrUnsupported)
		ln.dial()
		require.NotNil(t, <-l.Sessions(), "it goes on")
	})
}

func TestARestartThatFailsEndsTheListenerWithThatErr(t *testing.T) {
	path := filepath.Join(filepath.Dir(unixPath(t)), "dir")
	require.NoError(t, os.Mkdir(path, 0o700))
	l := listenOn(t, t.Context(), "unix", filepath.Join(path, "s"), nil)
	connectTo(t, l)
	s, _ := await(t, l.Sessions(), "a session")
	require.NoError(t, os.Rename(path, path+".moved"))
	err := l.Restart(t.Context())
	require.ErrorIs(t, err, syscall.ENOENT)
	_, ok := await(t, l.Sessions(), "Sessions")
	require.False(t, ok)
	require.Equal(t, err, l.Err())
	awaitDone(t, l)
	require.True(t, isClosed(s.Done()))
	require.ErrorIs(t, l.Restart(t.Context()), chanio.ErrClosed)
	require.NoError(t, l.Close())
}

func TestARestartWhosePortWasTakenEndsTheListenerWithThatErr(t *testing.T) {
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
	address := l.Addr().String()
	l.BeforeBind(func() error { // at a moment when the port is free
		other, err := net.Listen("tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { other.Close() })
		return nil
	})
	require.ErrorIs(t, l.Restart(t.Context()), chanio.ErrAddressInUse)
	awaitDone(t, l)
	require.ErrorIs(t, l.Err(), chanio.ErrAddressInUse)
	require.ErrorContains(t, l.Err(), address)
}

func TestRestartContinuesWhenItsContextEnds(t *testing.T) {
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	l.BeforeBind(func() error {
		cancel()
		<-release
		return nil
	})
	require.ErrorIs(t, l.Restart(ctx), context.Canceled)
	require.ErrorIs(t, l.Restart(ctx), context.Canceled, "a context that has ended starts none")
	require.ErrorContains(t, l.Restart(t.Context()), "under way")
	close(release)
	for restarts := 0; restarts < 2; {
		if e, _ := await(t, l.Events(), "EventStarted"); e.Kind == chanio.EventStarted {
			restarts++
		}
	}
	connectTo(t, l)
	await(t, l.Sessions(), "a session")
}

func TestRestartDuringTheEndReturns(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(l *chanio.Listener, cancel func())
	}{
		{"Close", func(l *chanio.Listener, _ func()) { l.Close() }},
		{"Shutdown", func(l *chanio.Listener, _ func()) { l.Shutdown(context.Background()) }},
		{"the context", func(_ *chanio.Listener, cancel func()) { cancel() }},
		{"a failed accept", func(l *chanio.Listener, _ func()) { l.Interrupt() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			for range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", nil)
				require.NoError(t, err)
				handled := serveEach(l, sendBack)
				conn, err := net.Dial("tcp", l.Addr().String())
				require.NoError(t, err)
				results := make(chan error, 3)
				for range 3 {
					go func() { results <- l.Restart(context.Background()) }()
				}
				go test.end(l, cancel)
				for range 3 {
					await(t, results, "Restart")
				}
				require.NoError(t, l.Close())
				await(t, handled, "the handlers")
				conn.Close()
				cancel()
			}
		})
	}
}
