package chanio_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// closedPort returns a tcp address without a listener.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	return ln.Addr().String()
}

// failingDialer calls hook, which may wait, instead of connecting. With it,
// dialing a numeric address is a wait that synctest knows.
func failingDialer(hook func(ctx context.Context) error) *net.Dialer {
	return &net.Dialer{ControlContext: func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
		return hook(ctx)
	}}
}

// hang waits until the dial is given up.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

const somewhere = "127.0.0.1:1"

func TestDialReachesEachKindOfListener(t *testing.T) {
	eachListener(t, func(t *testing.T, l *chanio.Listener) {
		handled := serveEach(l, sendBack)
		s, err := chanio.Dial(t.Context(), l.Addr().Network(), l.Addr().String(), nil)
		require.NoError(t, err)
		want := noise(1 << 20)
		go func() {
			for rest := want; len(rest) > 0; rest = rest[1<<16:] {
				assert.NoError(t, s.Put(rest[:1<<16]))
			}
			assert.NoError(t, s.CloseWrite())
		}()
		var got []byte
		for m := range s.Recv() {
			got = append(got, m...)
		}
		require.Equal(t, want, got)
		awaitDone(t, s)
		require.NoError(t, s.Err())
		require.NoError(t, l.Close())
		await(t, handled, "the handlers")
	})
}

func TestBadInputToDialIsAnErrorThatNamesIt(t *testing.T) {
	refused := closedPort(t)
	nobody := filepath.Join(t.TempDir(), "nobody")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name, network, address string
		ctx                    context.Context
		is                     error
		want                   []string
	}{
		{"no network", "", refused, t.Context(), nil, []string{"dial", "unknown network"}},
		{"an unknown network", "tcp5", refused, t.Context(), nil, []string{"dial", "tcp5"}},
		{"no address", "tcp", "", t.Context(), nil, []string{"dial", "missing address"}},
		{"no port", "tcp", "127.0.0.1", t.Context(), nil, []string{"dial", "127.0.0.1", "missing port"}},
		{"a bad port", "tcp", "127.0.0.1:99999", t.Context(), nil, []string{"dial", "99999"}},
		{"a peer that is not there", "tcp", refused, t.Context(), chanio.ErrRefused, []string{"dial", refused}},
		{"a socket that is not there", "unix", nobody, t.Context(), syscall.ENOENT, []string{"dial", nobody}},
		{"a context that has ended", "tcp", refused, ended, context.Canceled, []string{"dial", refused}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := chanio.Dial(test.ctx, test.network, test.address, nil)
			if errors.Is(err, errNoFamily) {
				t.Skipf("no unix sockets here: %v", err)
			}
			require.Error(t, err)
			require.Nil(t, s)
			if test.is != nil {
				require.ErrorIs(t, err, test.is)
			}
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
			require.Regexp(t, "^chanio: ", err.Error())
			var op *net.OpError
			require.ErrorAs(t, err, &op)
		})
	}
}

func TestDialTimeoutBoundsTheDialing(t *testing.T) {
	for _, test := range []struct {
		name string
		o    chanio.Options
		want time.Duration
	}{
		{"default", chanio.Options{}, 10 * time.Second},
		{"given", chanio.Options{DialTimeout: time.Minute}, time.Minute},
		{"the dialer's own", chanio.Options{Dialer: &net.Dialer{Timeout: time.Second}}, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := failingDialer(hang)
				if test.o.Dialer != nil {
					d.Timeout = test.o.Dialer.Timeout
				}
				test.o.Dialer = d
				start := time.Now()
				_, err := chanio.Dial(t.Context(), "tcp", somewhere, &test.o)
				require.Equal(t, test.want, since(start))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				var ne net.Error
				require.ErrorAs(t, err, &ne)
				require.True(t, ne.Timeout())
				require.ErrorContains(t, err, somewhere)
			})
		})
	}
}

func TestTheContextOfDialIsTheSessionsLife(t *testing.T) {
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
	serveEach(l, sendBack)
	ctx, cancel := context.WithCancelCause(t.Context())
	s, err := chanio.Dial(ctx, "tcp", l.Addr().String(), &chanio.Options{DialTimeout: patience})
	require.NoError(t, err)
	require.NoError(t, s.Put([]byte("x")))
	await(t, s.Recv(), "the echo")
	require.NoError(t, s.Err(), "the end of the dialing is not its end")
	cancel(errTest)
	awaitDone(t, s)
	require.Equal(t, errTest, s.Err())
}
