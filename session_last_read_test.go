package chanio_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

// endsWithData is a connection whose last bytes come with the error that ends
// its input, as an io.Reader's may. After that it is silent.
type endsWithData struct {
	net.Conn
	input []byte
	err   error
}

func (c *endsWithData) Read(p []byte) (n int, err error) {
	if len(c.input) == 0 {
		return c.Conn.Read(p)
	}
	n = copy(p, c.input)
	if c.input = c.input[n:]; len(c.input) == 0 {
		err = c.err
	}
	return n, err
}

// expanding is a framing in which a byte is a message of a thousand of it.
type expanding struct{}

func (expanding) AppendFrame(dst, message []byte) ([]byte, error) {
	return append(dst, message[0]), nil
}

func (expanding) Next(buf []byte, _ int) ([]byte, int, error) {
	return bytes.Repeat(buf[:1], 1000), 1, nil
}

// receivedAll returns what s receives up to the end of Recv.
func receivedAll(s *chanio.Session) (messages []string) {
	for m := range s.Recv() {
		messages = append(messages, string(m))
	}
	return messages
}

func TestInputThatComesWithItsEndIsDeliveredWhole(t *testing.T) {
	const many = 30_000 // more than one read's batch holds
	for _, tc := range []struct {
		name    string
		framing chanio.Framing
		input   string
		err     error
		want    []string
		end     error
	}{
		{"raw", nil, "all", io.EOF, []string{"all"}, nil},
		{"lines", chanio.Lines{}, "a\nb\n", io.EOF, []string{"a", "b"}, nil},
		{"a line and a part of one", chanio.Lines{}, "a\nb", io.EOF, []string{"a"}, io.ErrUnexpectedEOF},
		{"a line and one without its end", chanio.Lines{Unterminated: true}, "a\nb", io.EOF, []string{"a", "b"}, nil},
		{"a line and a reset", chanio.Lines{Unterminated: true}, "a\nb", syscall.ECONNRESET, []string{"a"}, syscall.ECONNRESET},
		{"many lines", chanio.Lines{}, strings.Repeat("\n", many), io.EOF, make([]string, many), nil},
		{"many lines and a reset", chanio.Lines{}, strings.Repeat("\n", many), syscall.ECONNRESET, make([]string, many), syscall.ECONNRESET},
		{"messages larger than their frames", expanding{}, strings.Repeat("x", 200), io.EOF, slices.Repeat([]string{strings.Repeat("x", 1000)}, 200), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, peer := memPair()
				defer peer.Close()
				s := chanio.NewSession(context.Background(), &endsWithData{a, []byte(tc.input), tc.err}, &chanio.Options{Framing: tc.framing})
				got := receivedAll(s)
				require.Len(t, got, len(tc.want))
				require.Equal(t, tc.want, got)
				s.Close()
				if tc.end == nil {
					require.NoError(t, s.Err())
				} else {
					require.ErrorIs(t, s.Err(), tc.end)
				}
			})
		})
	}
}

// crypto/tls returns data and io.EOF at once if the close_notify is there.
func TestLinesThatArriveWithAGivenTLSConnsEndAreDeliveredWhole(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			server, client := testTLS(t)
			client.ServerName = "localhost"
			client.MaxVersion = version
			a, b := chaniotest.Pipe(nil)
			defer a.Close()
			accepted, peer := tls.Server(b, server), tls.Client(a, client)
			shaken := make(chan error)
			go func() { shaken <- accepted.Handshake() }()
			require.NoError(t, peer.Handshake())
			require.NoError(t, <-shaken)
			_, err := peer.Write([]byte("a\nb"))
			require.NoError(t, err)
			require.NoError(t, peer.CloseWrite())
			s := chanio.NewSession(context.Background(), accepted, &chanio.Options{Framing: chanio.Lines{Unterminated: true}})
			require.Equal(t, []string{"a", "b"}, receivedAll(s))
			s.Close()
			require.NoError(t, s.Err())
		})
	}
}

// wokenRead is a connection whose first read returns input that has arrived
// although the read was interrupted, as a read may that was woken before.
type wokenRead struct {
	*chaniotest.Conn
	input chan string
	read  bool
}

func (c *wokenRead) Read(p []byte) (int, error) {
	if c.read {
		return c.Conn.Read(p)
	}
	c.read = true
	return copy(p, <-c.input), nil
}

func TestInputThatIsReadDuringACloseIsNotJudged(t *testing.T) {
	for name, f := range map[string]chanio.Framing{"lines": chanio.Lines{}, "a framing with a state": talk{}} {
		t.Run(name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				o.Framing, o.MaxMessage = f, 10
				a, peer := memPair()
				conn := &wokenRead{Conn: a, input: make(chan string)}
				s := chanio.NewSession(context.Background(), conn, &o)
				closed := make(chan error)
				go func() { closed <- s.Close() }()
				_, err := io.ReadAll(peer)
				require.NoError(t, err)
				conn.input <- "longer than ten bytes, and no word\n"
				synctest.Wait()
				require.NoError(t, s.Err(), "what arrives is discarded")
				peer.Close()
				require.NoError(t, <-closed)
				require.NoError(t, s.Err())
			})
		})
	}
}
