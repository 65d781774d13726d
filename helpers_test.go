package chanio_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

// patience is how long tests over real sockets wait for something that must
// happen, before they fail instead of hanging.
const patience = 30 * time.Second

// await receives from c. ok is false if c is closed.
func await[T any](t testing.TB, c <-chan T, what string) (v T, ok bool) {
	t.Helper()
	select {
	case v, ok = <-c:
		return v, ok
	case <-time.After(patience):
		require.FailNow(t, "waited too long for "+what)
		return v, false
	}
}

// awaitDone waits for the end of a session, listener or client.
func awaitDone(t testing.TB, x interface{ Done() <-chan struct{} }) {
	t.Helper()
	await(t, x.Done(), "Done")
}

// isClosed reports whether c is closed now.
func isClosed[T any](c <-chan T) bool {
	select {
	case _, ok := <-c:
		return !ok
	default:
		return false
	}
}

// noise returns n random bytes, the same each time.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// sendBack is the handler that every user writes first.
func sendBack(s *chanio.Session) {
	defer s.Close()
	for m := range s.Recv() {
		select {
		case s.Send() <- m:
		case <-s.Done():
		}
	}
}

// memSession returns a session over memory and its peer's end. Both are closed
// when the test ends.
func memSession(t *testing.T, o *chanio.Options) (*chanio.Session, *chaniotest.Conn) {
	a, peer := memPair()
	s := chanio.NewSession(context.Background(), a, o)
	t.Cleanup(func() {
		s.Abort(nil)
		peer.Close()
		<-s.Done()
	})
	return s, peer
}

// eachPair runs f for every kind of connection and every length of queues, with
// a session at one end and the bare connection at the other.
func eachPair(t *testing.T, f func(t *testing.T, s *chanio.Session, peer net.Conn)) {
	for _, p := range pairs {
		for _, q := range queues {
			t.Run(p.name+"/"+q.name, func(t *testing.T) {
				a, peer := p.make(t)
				require.NoError(t, peer.SetDeadline(time.Now().Add(patience)))
				s := chanio.NewSession(context.Background(), a, &q.o)
				defer func() {
					s.Abort(nil)
					peer.Close()
					awaitDone(t, s)
				}()
				f(t, s, peer)
			})
		}
	}
}

// eachQueue runs f in a synctest bubble for every length of queues.
func eachQueue(t *testing.T, f func(t *testing.T, o chanio.Options)) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, q.o) })
		})
	}
}

var errTest = errors.New("a cause of the test")

// fill puts messages into s, whose peer does not read, until s has no more
// room, and returns how many bytes were accepted. It is for synctest bubbles.
func fill(t *testing.T, s *chanio.Session) (accepted int64) {
	t.Helper()
	for {
		giveUp := make(chan struct{})
		result := make(chan error)
		m := make([]byte, 1000)
		go func() { result <- s.PutUnless(m, giveUp) }()
		synctest.Wait()
		select {
		case err := <-result:
			require.NoError(t, err)
			accepted += int64(len(m))
		default:
			close(giveUp)
			require.Equal(t, chanio.ErrGivenUp, <-result)
			return accepted
		}
	}
}

// requireAllIsCounted requires that each accepted byte is counted as sent or as
// undelivered, once the session is Done.
func requireAllIsCounted(t *testing.T, s *chanio.Session, accepted int64) {
	t.Helper()
	require.True(t, isClosed(s.Done()))
	st := s.Stats()
	require.Equal(t, accepted, st.BytesSent+st.Undelivered, "sent %d, undelivered %d", st.BytesSent, st.Undelivered)
	require.Zero(t, st.BytesPending)
}

// serveMem serves connections in memory until the test ends.
func serveMem(t *testing.T, o *chanio.Options) (*chanio.Listener, *memListener) {
	ln := newMemListener()
	l := chanio.Serve(context.Background(), ln, o)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l, ln
}

// serveEach runs handler for each session of l. It returns a channel that is
// closed when l has stopped and all handlers have returned.
func serveEach(l *chanio.Listener, handler func(*chanio.Session)) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		for s := range l.Sessions() {
			wg.Go(func() { handler(s) })
		}
		wg.Wait()
	}()
	return done
}

// portableListener hides the descriptors of the connections that it accepts.
type portableListener struct{ net.Listener }

func (l portableListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return hide(conn), nil
}

// listeners are the ways to listen on real sockets.
var listeners = []struct {
	name   string
	listen func(t *testing.T, ctx context.Context, o *chanio.Options) *chanio.Listener
}{
	{"tcp", func(t *testing.T, ctx context.Context, o *chanio.Options) *chanio.Listener {
		return listenOn(t, ctx, "tcp", "127.0.0.1:0", o)
	}},
	{"unix", func(t *testing.T, ctx context.Context, o *chanio.Options) *chanio.Listener {
		return listenOn(t, ctx, "unix", unixPath(t), o)
	}},
	{"portable", func(t *testing.T, ctx context.Context, o *chanio.Options) *chanio.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		return chanio.Serve(ctx, portableListener{ln}, o)
	}},
}

// listenOn listens until the test ends.
func listenOn(t *testing.T, ctx context.Context, network, address string, o *chanio.Options) *chanio.Listener {
	t.Helper()
	l, err := chanio.Listen(ctx, network, address, o)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// connectTo connects to l with an ordinary connection, for the rest of the test.
func connectTo(t testing.TB, l *chanio.Listener) net.Conn {
	t.Helper()
	conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// eachListener runs f for every way to listen and every length of queues.
func eachListener(t *testing.T, f func(t *testing.T, l *chanio.Listener)) {
	for _, way := range listeners {
		for _, q := range queues {
			t.Run(way.name+"/"+q.name, func(t *testing.T) {
				l := way.listen(t, t.Context(), &q.o)
				f(t, l)
				require.NoError(t, l.Close())
			})
		}
	}
}

func requireErr(t *testing.T, want, got error, what string) {
	t.Helper()
	if want == nil {
		require.NoError(t, got, what)
	} else {
		require.ErrorIs(t, got, want, what)
	}
}

// requireTimeout requires that err is a timeout by every check that programs
// use.
func requireTimeout(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	var ne net.Error
	require.ErrorAs(t, err, &ne)
	require.True(t, ne.Timeout())
	require.ErrorContains(t, err, "chanio: ")
}

// since returns how much time has passed in the bubble.
func since(start time.Time) time.Duration { return time.Since(start) }

// dialListener connects to l, with TLS if l wants it.
func dialListener(t *testing.T, l *chanio.Listener) net.Conn {
	t.Helper()
	if l.Settings().TLS == nil {
		return connectTo(t, l)
	}
	_, client := testTLS(t)
	return dialPeer(t, l.Addr(), client)
}

// acceptedBy returns a session of l and its peer's end.
func acceptedBy(t *testing.T, l *chanio.Listener) (*chanio.Session, net.Conn) {
	t.Helper()
	conn := dialListener(t, l)
	s, ok := await(t, l.Sessions(), "a session")
	require.True(t, ok)
	return s, conn
}

// streamListeners are the ways to listen for sessions over a kernel's socket.
var streamListeners = []struct {
	name    string
	network string
	tls     bool
}{
	{"tcp", "tcp", false},
	{"unix", "unix", false},
	{"tls", "tcp", true},
	{"tls unix", "unix", true},
}

// eachStream runs f for sessions of all kinds and with every queue length.
func eachStream(t *testing.T, f func(t *testing.T, l *chanio.Listener, s *chanio.Session, peer net.Conn)) {
	for _, way := range streamListeners {
		for _, q := range queues {
			t.Run(way.name+"/"+q.name, func(t *testing.T) {
				o := q.o
				if way.tls {
					o.TLS, _ = testTLS(t)
				}
				address := anyAddress(t, way.network)
				l := listenOn(t, t.Context(), way.network, address, &o)
				s, peer := acceptedBy(t, l)
				f(t, l, s, peer)
				require.NoError(t, l.Close())
			})
		}
	}
}

// eachSocket runs f over a tcp and a unix socket.
func eachSocket(t *testing.T, f func(t *testing.T, conn, peer net.Conn)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			conn, peer := socketPair(t, network)
			defer peer.Close()
			require.NoError(t, peer.SetDeadline(time.Now().Add(patience)))
			f(t, conn, peer)
		})
	}
}
