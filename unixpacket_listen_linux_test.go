package chanio_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestAUnixpacketListenerHasItsFileAsAUnixListenerDoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stale, err := net.Listen("unixpacket", path)
	require.NoError(t, err)
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, stale.Close())

	o := &chanio.Options{SocketMode: 0o600, KeepSocket: true}
	l := listenOn(t, t.Context(), "unixpacket", path, o)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	_, err = chanio.Listen(t.Context(), "unixpacket", path, nil)
	require.ErrorIs(t, err, chanio.ErrAddressInUse)
	require.NoError(t, l.Restart(t.Context()))
	connectTo(t, l)
	nextSession(t, l)
	require.NoError(t, l.Close())
	_, err = os.Stat(path)
	require.NoError(t, err)
}

func TestAUnixpacketClientComesBack(t *testing.T) {
	l := listenOn(t, t.Context(), "unixpacket", unixPath(t), nil)
	c := chanio.Connect(t.Context(), "unixpacket", l.Addr().String(), &chanio.Options{Backoff: chanio.Backoff{Min: time.Millisecond}})
	defer c.Close()
	for range 3 {
		s, _ := await(t, c.Sessions(), "a session")
		nextSession(t, l).Abort(nil)
		_, ok := await(t, s.Recv(), "the end")
		require.False(t, ok)
		require.NoError(t, s.Close())
	}
}

func TestUnixpacketReportsWhatItDoesNotSupport(t *testing.T) {
	path := unixPath(t)
	for name, o := range map[string]*chanio.Options{
		"TLS":           {TLS: new(tls.Config)},
		"Framing":       {Framing: chanio.Lines{}},
		"ProxyProtocol": {ProxyProtocol: true},
	} {
		t.Run(name, func(t *testing.T) {
			want := "option " + name + " is not for unixpacket"
			_, err := chanio.Listen(t.Context(), "unixpacket", path, o)
			require.ErrorContains(t, err, want)
			_, err = chanio.Dial(t.Context(), "unixpacket", path, o)
			require.ErrorContains(t, err, want)
			if name != "TLS" { // which NewSession ignores, and Serve below
				conn, peer := socketPair(t, "unixpacket")
				defer peer.Close()
				s := chanio.NewSession(t.Context(), conn, o)
				awaitDone(t, s)
				require.ErrorContains(t, s.Err(), want)
			}
		})
	}
	s, _ := packetPair(t, nil)
	_, err := s.NetConn().Read(make([]byte, 1))
	require.ErrorIs(t, err, errors.ErrUnsupported, "a stream would lose the boundaries")

	conn, peer := socketPair(t, "unixpacket")
	defer peer.Close()
	wrapped := chanio.NewSession(context.Background(), struct{ net.Conn }{conn}, nil)
	awaitDone(t, wrapped)
	require.ErrorIs(t, wrapped.Err(), errors.ErrUnsupported)
}

func TestServeTakesAUnixpacketListener(t *testing.T) {
	ln, err := net.Listen("unixpacket", unixPath(t))
	require.NoError(t, err)
	l := chanio.Serve(t.Context(), ln, nil)
	defer l.Close()
	conn := connectTo(t, l)
	for _, m := range []string{"one", "two"} {
		_, err = conn.Write([]byte(m))
		require.NoError(t, err)
	}
	s := nextSession(t, l)
	require.Equal(t, "one", nextMessage(t, s))
	require.Equal(t, "two", nextMessage(t, s))
}

func TestDialContextForUnixpacketReturnsAUnixpacketConnection(t *testing.T) {
	l := listenOn(t, t.Context(), "unixpacket", unixPath(t), nil)
	o := &chanio.Options{DialContext: new(net.Dialer).DialContext}
	s, err := chanio.Dial(t.Context(), "unixpacket", l.Addr().String(), o)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Put([]byte("hello")))
	require.Equal(t, "hello", nextMessage(t, nextSession(t, l)))

	o.DialContext = func(ctx context.Context, _, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "unixpacket", address)
		return struct{ net.Conn }{conn}, err
	}
	_, err = chanio.Dial(t.Context(), "unixpacket", l.Addr().String(), o)
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

func TestAcceptOfPacketsIsUnsupported(t *testing.T) {
	l := listenOn(t, t.Context(), "unixpacket", filepath.Join(t.TempDir(), "s"), nil)
	connectTo(t, l)
	_, err := l.NetListener().Accept()
	require.ErrorIs(t, err, errors.ErrUnsupported)
}
