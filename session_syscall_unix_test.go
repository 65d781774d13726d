//go:build unix

package chanio_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestSyscallConnIsTheSessionsSocket(t *testing.T) {
	server, client := testTLS(t)
	for _, test := range []struct {
		name   string
		accept func(t *testing.T) *chanio.Session
	}{
		{"tcp", func(t *testing.T) *chanio.Session {
			l := listenTCP(t, nil)
			connectTo(t, l)
			return <-l.Sessions()
		}},
		{"TLS", func(t *testing.T) *chanio.Session {
			l := listenTCP(t, &chanio.Options{TLS: server})
			dialTLS(t, l, client)
			return <-l.Sessions()
		}},
		{"udp, dialed", func(t *testing.T) *chanio.Session {
			s, err := chanio.Dial(t.Context(), "udp", "127.0.0.1:9", nil)
			require.NoError(t, err)
			return s
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := test.accept(t)
			rc, err := s.SyscallConn()
			require.NoError(t, err)
			var name syscall.Sockaddr
			require.NoError(t, rc.Control(func(fd uintptr) { name, err = syscall.Getsockname(int(fd)) }))
			require.NoError(t, err)
			_, port, err := net.SplitHostPort(s.LocalAddr().String())
			require.NoError(t, err)
			want, err := net.LookupPort("tcp", port)
			require.NoError(t, err)
			require.Equal(t, want, name.(*syscall.SockaddrInet4).Port)
			s.Abort(nil)
			<-s.Done()
		})
	}
	a, b := net.Pipe()
	defer b.Close()
	s := chanio.NewSession(t.Context(), a, nil)
	_, err := s.SyscallConn()
	require.ErrorIs(t, err, errors.ErrUnsupported)
}
