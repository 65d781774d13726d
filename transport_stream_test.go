package chanio

import (
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Where the library writes to sockets through package net, as on macOS and
// Windows, WriteTimeout is about progress, too. A pipe stands in for the socket.

func TestAWriteThatIsTakenByteByByteIsNoStalledOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := memSession(t, nil) // whose timers the writer uses
		a, peer := net.Pipe()
		want := noise(100)
		var got []byte
		go func() {
			for p := make([]byte, 1); ; {
				time.Sleep(4 * time.Second)
				if _, err := peer.Read(p); err != nil {
					return
				}
				got = append(got, p...)
			}
		}()
		n, err := writeGroup(a, &net.Buffers{want[:30], want[30:31], want[31:]}, s, true)
		s.output.stall.end()
		require.NoError(t, err)
		require.Equal(t, len(want), n)
		require.NoError(t, s.Err())
		a.Close()
		synctest.Wait()
		require.Equal(t, want, got)
		time.Sleep(time.Minute)
	})
}

func TestAWriteThatIsTakenNoFurtherIsAStalledOne(t *testing.T) {
	for _, test := range []struct {
		name  string
		taken int
		after time.Duration // the looks are 2.5 seconds apart
	}{
		{"nothing", 0, 10 * time.Second},
		{"a part, which the first look sees", 10, 12500 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := memSession(t, nil)
				a, peer := net.Pipe()
				defer peer.Close()
				time.AfterFunc(time.Minute, func() { a.Close() }) // as the end of its own session would
				go io.ReadFull(peer, make([]byte, test.taken))
				start := time.Now()
				go writeGroup(a, &net.Buffers{noise(100)}, s, true)
				<-s.Done()
				require.Equal(t, test.after, time.Since(start))
				require.ErrorIs(t, s.Err(), os.ErrDeadlineExceeded)
			})
		})
	}
}

func TestOnlyWritesToSocketsAreInterrupted(t *testing.T) {
	a, b := socketPair(t, "tcp")
	defer a.Close()
	defer b.Close()
	require.True(t, resumable(a))
	require.False(t, resumable(hide(a)), "what it has inside may not write again")
}

// A connection that is wrapped, to count its bytes or to limit them, is a TCP
// connection still.
func TestAbortResetsAWrappedConnection(t *testing.T) {
	type wrapped struct{ *net.TCPConn }
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer peer.Close()
	conn, err := ln.Accept()
	require.NoError(t, err)
	s := NewSession(t.Context(), wrapped{conn.(*net.TCPConn)}, nil)
	s.Abort(nil)
	<-s.Done()
	_, err = peer.Read(make([]byte, 1))
	require.ErrorIs(t, err, errReset)
}
