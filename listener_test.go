package chanio_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestHelloAndAHalfCloseComeBack(t *testing.T) {
	eachListener(t, func(t *testing.T, l *chanio.Listener) {
		handled := serveEach(l, sendBack)
		conn := connectTo(t, l)
		_, err := conn.Write([]byte("hello"))
		require.NoError(t, err)
		require.NoError(t, conn.(halfCloser).CloseWrite())
		got, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Equal(t, "hello", string(got))
		require.NoError(t, l.Shutdown(t.Context()))
		await(t, handled, "the handlers")
	})
}

func TestListenOnEachNetwork(t *testing.T) {
	for _, test := range []struct{ network, address, want string }{
		{"tcp", "127.0.0.1:0", "127.0.0.1"},
		{"tcp4", "127.0.0.1:0", "127.0.0.1"},
		{"tcp6", "[::1]:0", "::1"},
		{"unix", "", ""},
	} {
		t.Run(test.network, func(t *testing.T) {
			if test.network == "unix" {
				test.address = unixPath(t)
			}
			l, err := chanio.Listen(t.Context(), test.network, test.address, nil)
			if errors.Is(err, errNoAddress) || errors.Is(err, errNoFamily) {
				t.Skip(err)
			}
			require.NoError(t, err)
			defer l.Close()
			serveEach(l, sendBack)
			if tcp, ok := l.Addr().(*net.TCPAddr); ok {
				require.Equal(t, test.want, tcp.IP.String())
				require.NotZero(t, tcp.Port)
			} else {
				require.Equal(t, test.address, l.Addr().String())
			}
			s, err := chanio.Dial(t.Context(), test.network, l.Addr().String(), nil)
			require.NoError(t, err)
			require.Equal(t, l.Addr().String(), s.RemoteAddr().String())
			require.NoError(t, s.Put([]byte("hello")))
			m, _ := await(t, s.Recv(), "the echo")
			require.Equal(t, "hello", string(m))
			require.NoError(t, s.Close())
		})
	}
}

func TestBadInputToListenIsAnErrorThatNamesIt(t *testing.T) {
	used := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil).Addr().String()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("precious"), 0o600))
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errTest)
	for _, test := range []struct {
		name, network, address string
		ctx                    context.Context
		want                   []string
	}{
		{"no network", "", "127.0.0.1:0", t.Context(), []string{"listen", "unknown network"}},
		{"an unknown network", "tcp5", "127.0.0.1:0", t.Context(), []string{"listen", "tcp5"}},
		{"a network that is not ours", "unixgram", "x", t.Context(), []string{"listen", "unixgram"}},
		{"no port", "tcp", "127.0.0.1", t.Context(), []string{"listen", "127.0.0.1", "missing port"}},
		{"a bad port", "tcp", "127.0.0.1:99999", t.Context(), []string{"listen", "99999"}},
		{"an address of the other family", "tcp6", "127.0.0.1:0", t.Context(), []string{"listen", "127.0.0.1"}},
		{"a port in use", "tcp", used, t.Context(), []string{"listen", used, chanio.ErrAddressInUse.Error()}},
		{"an address of another host", "tcp", "192.0.2.1:0", t.Context(), []string{"listen", "192.0.2.1:0"}},
		{"a path that is a file", "unix", file, t.Context(), []string{"listen", file, chanio.ErrAddressInUse.Error()}},
		{"a path that does not exist", "unix", "/nowhere/at/all", t.Context(), []string{"listen", "/nowhere/at/all"}},
		{"a context that has ended", "tcp", "127.0.0.1:0", ended, []string{"listen", errTest.Error()}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, err := chanio.Listen(test.ctx, test.network, test.address, nil)
			if errors.Is(err, errNoFamily) {
				t.Skipf("no unix sockets here: %v", err)
			}
			require.Error(t, err)
			require.Nil(t, l)
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
			require.Regexp(t, "^chanio: ", err.Error())
			var op *net.OpError
			require.ErrorAs(t, err, &op)
		})
	}
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "precious", string(kept))
}

func TestServeOfANilListenerHasEndedWithThatErr(t *testing.T) {
	l := chanio.Serve(t.Context(), nil, nil)
	awaitDone(t, l)
	require.ErrorContains(t, l.Err(), "chanio: Serve of a nil net.Listener")
	_, ok := await(t, l.Sessions(), "Sessions")
	require.False(t, ok)
	for e := range l.Events() {
		require.Contains(t, []chanio.EventKind{chanio.EventStarted, chanio.EventStopped}, e.Kind)
	}
	require.NotNil(t, l.Addr())
	require.Zero(t, l.Len())
	require.NoError(t, l.Shutdown(t.Context()))
	require.NoError(t, l.Close())
	require.Error(t, l.Restart(t.Context()))
	l.DisconnectAll()
}

func TestServeOfAListenerWithoutAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := nowhere{newMemListener()}
		l := chanio.Serve(t.Context(), ln, nil)
		ln.dial()
		require.NotNil(t, <-l.Sessions())
		ln.Fail(acceptErrors[0])
		require.Error(t, l.Restart(t.Context()))
		ln.Fail(errTest)
		<-l.Done()
		require.ErrorIs(t, l.Err(), errTest)
		require.NotNil(t, l.Addr())
	})
}

// nowhere is a listener that has no address.
type nowhere struct{ *memListener }

func (nowhere) Addr() net.Addr { return nil }

func TestAStaleUnixSocketFileIsReplacedAndOneInUseIsAnError(t *testing.T) {
	path := unixPath(t)
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	stale.SetUnlinkOnClose(false)
	require.NoError(t, stale.Close())
	require.FileExists(t, path)

	l := listenOn(t, t.Context(), "unix", path, nil)
	serveEach(l, sendBack)
	_, err = chanio.Listen(t.Context(), "unix", path, nil)
	require.ErrorIs(t, err, chanio.ErrAddressInUse)
	conn := connectTo(t, l) // the listener in use was not harmed
	_, err = conn.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	require.NoError(t, err)

	require.NoError(t, l.Close())
	require.NoFileExists(t, path)
}

func TestADatagramSocketsFileIsNotTakenForStale(t *testing.T) {
	path := unixPath(t)
	other, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	defer other.Close()
	_, err = chanio.Listen(t.Context(), "unix", path, nil)
	require.ErrorIs(t, err, chanio.ErrAddressInUse)
	require.FileExists(t, path)
}

func TestUnreceivedSessionsPauseOnlyAccepting(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		l, ln := serveMem(t, &o)
		first := ln.dial()
		s := <-l.Sessions()
		ln.dial() // accepted, and held until it is received
		ln.dial()
		<-time.After(time.Hour)
		require.EqualValues(t, 2, ln.accepted.Load())
		require.Equal(t, 2, l.Len())

		go sendBack(s)
		go first.Write([]byte("x"))
		_, err := io.ReadFull(first, make([]byte, 1))
		require.NoError(t, err, "a session that runs never pauses")

		<-l.Sessions()
		<-l.Sessions()
		require.EqualValues(t, 3, ln.accepted.Load())
	})
}

func TestASessionWhosePeerHasGoneIsStillDeliveredWithItsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ln := serveMem(t, nil)
		peer := ln.dial()
		_, err := peer.Write([]byte("last words"))
		require.NoError(t, err)
		peer.Close()
		<-time.After(time.Hour) // long past CloseTimeout
		s := <-l.Sessions()
		require.Equal(t, "last words", string(<-s.Recv()))
		<-s.Done()
	})
}

func TestSessionAllAndLenKnowTheSessionsThatLive(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		l, ln := serveMem(t, &o)
		var all []*chanio.Session
		for i := range 5 {
			ln.dial()
			s := <-l.Sessions()
			all = append(all, s)
			require.Equal(t, i+1, l.Len())
			found, ok := l.Session(s.ID())
			require.True(t, ok)
			require.Same(t, s, found)
		}
		require.ElementsMatch(t, all, slices.Collect(l.All()))
		n := 0
		for range l.All() {
			if n++; n == 2 {
				break
			}
		}
		for s := range l.All() {
			s.Abort(nil) // while iterating
			<-s.Done()
			_, ok := l.Session(s.ID())
			require.False(t, ok, "it is forgotten once it is Done")
		}
		require.Zero(t, l.Len())
	})
}

func TestStatsOfAListenerIncludeSessionsThatHaveEnded(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		l, ln := serveMem(t, &o)
		for i := range 4 {
			peer := ln.dial()
			s := <-l.Sessions()
			go peer.Write(make([]byte, 100))
			for n := 0; n < 100; {
				n += len(<-s.Recv())
			}
			go io.Copy(io.Discard, peer)
			require.NoError(t, s.Put(make([]byte, 30)))
			require.NoError(t, s.Flush(t.Context()))
			if i%2 == 0 {
				s.Abort(nil)
				<-s.Done()
			}
		}
		st := l.Stats()
		require.EqualValues(t, 2, st.Sessions)
		require.EqualValues(t, 4, st.Accepted)
		require.EqualValues(t, 400, st.BytesReceived)
		require.EqualValues(t, 120, st.BytesSent)
		require.EqualValues(t, 4, st.MessagesSent)
		ln.dial() // which does not read
		accepted := fill(t, <-l.Sessions())
		require.NoError(t, l.Close())
		require.Equal(t, accepted, l.Stats().Undelivered)
	})
}

func TestEventsOfAListenerComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ln := serveMem(t, nil)
		ln.Fail(&net.OpError{Op: "accept", Net: "tcp", Addr: ln.Addr(), Err: acceptErrors[0]})
		for range 3 {
			ln.dial()
			s := <-l.Sessions()
			s.Abort(errTest)
			<-s.Done()
		}
		require.NoError(t, l.Close())
		var kinds []chanio.EventKind
		for e := range l.Events() {
			kinds = append(kinds, e.Kind)
			switch e.Kind {
			case chanio.EventDisconnected:
				require.Equal(t, errTest, e.Err)
				require.NotNil(t, e.Session)
			case chanio.EventConnected:
				require.NotNil(t, e.Session)
				require.NoError(t, e.Err)
			case chanio.EventFailed:
				require.ErrorIs(t, e.Err, acceptErrors[0])
				var op *net.OpError
				require.ErrorAs(t, e.Err, &op)
				require.Equal(t, ln.Addr(), op.Addr)
			}
		}
		require.Equal(t, []chanio.EventKind{
			chanio.EventStarted, chanio.EventFailed,
			chanio.EventConnected, chanio.EventDisconnected,
			chanio.EventConnected, chanio.EventDisconnected,
			chanio.EventConnected, chanio.EventDisconnected,
			chanio.EventStopped,
		}, kinds)
	})
}

func TestUnreadEventsBlockNothing(t *testing.T) {
	eachListener(t, func(t *testing.T, l *chanio.Listener) {
		l.Events() // and never receive
		handled := serveEach(l, sendBack)
		for range 100 {
			conn := connectTo(t, l)
			_, err := conn.Write([]byte("x"))
			require.NoError(t, err)
			require.NoError(t, conn.(halfCloser).CloseWrite())
			_, err = io.ReadAll(conn)
			require.NoError(t, err)
			conn.Close()
		}
		require.NoError(t, l.Shutdown(t.Context()))
		await(t, handled, "the handlers")
		require.EqualValues(t, 202-min(202, l.Settings().EventQueue), l.Stats().EventsDropped)
	})
}
