package chaniotest_test

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

func TestServeServesAListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := chaniotest.NewListener()
		l := chanio.Serve(t.Context(), ln, nil)
		require.Equal(t, "192.0.2.1:1", l.Addr().String())
		for i, want := range []string{"192.0.2.2:1", "192.0.2.2:2"} {
			conn, err := ln.Dial(t.Context(), nil)
			require.NoError(t, err)
			defer conn.Close()
			require.Equal(t, l.Addr(), conn.RemoteAddr())
			s := <-l.Sessions()
			require.Equal(t, want, s.RemoteAddr().String(), i)
			require.Equal(t, want, conn.LocalAddr().String())
			write(t, conn, "hello")
			require.Equal(t, "hello", string(<-s.Recv()))
			_, err = s.Write([]byte("you, too"))
			require.NoError(t, err)
			read(t, conn, "you, too")
		}
		require.NoError(t, l.Close())
		_, err := ln.Dial(t.Context(), nil)
		require.Equal(t, "dial tcp 192.0.2.1:1: connect: connection refused", err.Error())
	})
}

func TestDialWaitsOnlyWhileTheBacklogIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := chaniotest.NewListener()
		defer ln.Close()
		for range 128 {
			_, err := ln.Dial(t.Context(), nil)
			require.NoError(t, err)
		}
		errTest := errors.New("no time")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errTest)
		defer cancel()
		start := time.Now()
		_, err := ln.Dial(ctx, nil)
		require.ErrorIs(t, err, errTest)
		require.Equal(t, time.Second, time.Since(start))
		_, err = ln.Accept()
		require.NoError(t, err)
		_, err = ln.Dial(ctx, nil)
		require.ErrorIs(t, err, errTest, "whose context has ended")
		_, err = ln.Dial(t.Context(), nil)
		require.NoError(t, err)

		go ln.Close()
		_, err = ln.Dial(t.Context(), nil)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	})
}

func TestCloseResetsWhatNobodyHasAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := chaniotest.NewListener()
		first, err := ln.Dial(t.Context(), nil)
		require.NoError(t, err)
		defer first.Close()
		accepted, err := ln.Accept()
		require.NoError(t, err)
		defer accepted.Close()
		second, err := ln.Dial(t.Context(), nil)
		require.NoError(t, err)
		defer second.Close()
		go func() {
			time.Sleep(time.Second)
			ln.Close()
		}()
		_, err = ln.Accept()
		require.NoError(t, err)
		_, err = ln.Accept()
		require.ErrorIs(t, err, net.ErrClosed, "one that waits is released")
		_, err = ln.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
		require.NoError(t, ln.Close(), "idempotent")
		write(t, first, "goes on")
		read(t, accepted, "goes on")
	})
	synctest.Test(t, func(t *testing.T) {
		ln := chaniotest.NewListener()
		conn, err := ln.Dial(t.Context(), nil)
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, ln.Close())
		_, err = conn.Read(make([]byte, 1))
		requireErrno(t, err, conn, "read", syscall.ECONNRESET)
	})
}

// However a Dial and a Close race, neither side is left hanging.
func TestADialThatMeetsCloseIsRefusedOrReset(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			ln := chaniotest.NewListener()
			go ln.Close()
			conn, err := ln.Dial(t.Context(), nil)
			if err != nil {
				require.ErrorIs(t, err, syscall.ECONNREFUSED)
				return
			}
			defer conn.Close()
			_, err = conn.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
		})
	}
}

func TestFailMakesOneAcceptFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := chaniotest.NewListener()
		_, err := ln.Dial(t.Context(), nil)
		require.NoError(t, err)
		start := time.Now()
		go func() {
			time.Sleep(time.Second)
			_, err := ln.Accept()
			assert.NoError(t, err, "a connection that waits comes first")
			time.Sleep(time.Second)
			_, err = ln.Accept()
			assert.Equal(t, syscall.EMFILE, err)
		}()
		ln.Fail(syscall.EMFILE)
		require.Equal(t, 2*time.Second, time.Since(start), "it returns when Accept has")

		_, err = ln.Dial(t.Context(), nil)
		require.NoError(t, err)
		_, err = ln.Accept()
		require.NoError(t, err)
		time.AfterFunc(time.Second, func() { ln.Close() })
		ln.Fail(syscall.EMFILE) // which no Accept takes
		_, err = ln.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

func TestSessionsAreConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := up(chaniotest.Path{Latency: time.Second})
		client, server := chaniotest.Sessions(t.Context(), link, &chanio.Options{Framing: chanio.Lines{}})
		start := time.Now()
		require.NoError(t, client.Put([]byte("hello")))
		require.Equal(t, "hello", string(<-server.Recv()))
		require.Equal(t, time.Second, time.Since(start))
		require.NoError(t, server.Put([]byte("you, too")))
		require.Equal(t, "you, too", string(<-client.Recv()))
		require.NoError(t, client.CloseWrite())
		_, ok := <-server.Recv()
		require.False(t, ok)
		require.NoError(t, server.Close())
		<-client.Done()
		require.NoError(t, client.Err())
		require.Equal(t, time.Second+time.Second, time.Since(start))
	})
}

func TestAbortResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := chaniotest.Sessions(t.Context(), nil, nil)
		client.Abort(nil)
		<-server.Done()
		require.ErrorIs(t, server.Err(), syscall.ECONNRESET)
	})
}
