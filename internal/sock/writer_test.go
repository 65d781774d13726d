package sock

import (
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A watch is a Flow that is over once a wait has lasted 10 seconds.
type watch struct {
	timer *time.Timer
	over  chan struct{}
	n     int
}

func newWatch() *watch { return &watch{over: make(chan struct{})} }

func (w *watch) Wait() {
	w.end()
	w.timer = time.AfterFunc(10*time.Second, func() { close(w.over) })
}

func (w *watch) Progress(n int) { w.n += n }

func (w *watch) end() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

func (w *watch) Over() bool {
	select {
	case <-w.over:
		return true
	default:
		return false
	}
}

// noise returns n bytes that differ.
func noise(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i * 7 >> 3)
	}
	return p
}

// Where the library writes to sockets through package net, as on macOS and
// Windows, it also finds progress by looking. A pipe stands in for the socket.

const lookEvery = 2500 * time.Millisecond

func TestAWriteThatIsTakenByteByByteIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, peer := net.Pipe()
		want := noise(100)
		var got []byte
		go func() {
			for p := make([]byte, 1); ; {
				<-time.After(4 * time.Second)
				if _, err := peer.Read(p); err != nil {
					return
				}
				got = append(got, p...)
			}
		}()
		w := newWatch()
		n, err := writeGroup(a, &net.Buffers{want[:30], want[30:31], want[31:]}, lookEvery, w)
		w.end()
		require.NoError(t, err)
		require.Equal(t, len(want), n)
		require.Equal(t, n, w.n, "all of it is told")
		require.False(t, w.Over())
		a.Close()
		synctest.Wait()
		require.Equal(t, want, got)
		<-time.After(time.Minute)
	})
}

func TestAWriteWithoutProgressIsStalled(t *testing.T) {
	for _, test := range []struct {
		name  string
		taken int
		after time.Duration
	}{
		{"nothing", 0, 10 * time.Second},
		{"a part, which the first look sees", 10, 10*time.Second + lookEvery},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, peer := net.Pipe()
				defer peer.Close()
				defer a.Close()
				go io.ReadFull(peer, make([]byte, test.taken))
				start := time.Now()
				w := newWatch()
				ended := make(chan int)
				go func() {
					n, _ := writeGroup(a, &net.Buffers{noise(100)}, lookEvery, w)
					ended <- n
				}()
				<-w.over
				require.Equal(t, test.after, time.Since(start))
				require.Equal(t, test.taken, <-ended, "the next look gives up")
			})
		})
	}
}

func TestEachWriteToWhatIsNoSocketIsProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, peer := net.Pipe()
		defer peer.Close()
		defer near.Close()
		const parts, size = 5, 10
		go func() {
			for range parts {
				<-time.After(4 * time.Second)
				io.ReadFull(peer, make([]byte, size))
			}
		}()
		w := newWatch()
		whole := noise(parts * size)
		n, err := WriteParts(near, slices.Collect(slices.Chunk(whole, size)), len(whole), lookEvery, w)
		w.end()
		require.NoError(t, err)
		require.Equal(t, len(whole), n)
		require.Equal(t, n, w.n, "all of it is told")
		require.False(t, w.Over())
	})
}

// An ownWrite embeds a socket and writes in its own way.
type ownWrite struct {
	*net.TCPConn
	written int
}

func (c *ownWrite) Write(p []byte) (int, error) {
	c.written += len(p)
	return c.TCPConn.Write(p)
}

func TestTheWriteOfATypeThatEmbedsASocketIsCalled(t *testing.T) {
	near, _ := tcpPair(t)
	conn := &ownWrite{TCPConn: near}
	w := newWatch()
	n, err := WriteParts(conn, [][]byte{noise(10), noise(20)}, 100, 0, w)
	w.end()
	require.NoError(t, err)
	require.Equal(t, 30, n)
	require.Equal(t, 30, conn.written)
}

func TestOnlyWritesToSocketsAreInterrupted(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer a.Close()
	require.True(t, resumable(a))
	require.False(t, resumable(struct{ net.Conn }{a}), "what it has inside may not write again")
}

func TestAWriteToASocketReportsProgressBeforeItsEnd(t *testing.T) {
	near, _ := tcpPair(t)
	const size = 64 << 20 // more than any kernel buffers
	f := &firstProgress{happened: make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		WriteParts(near, [][]byte{make([]byte, size)}, size, time.Millisecond, f)
	}()
	select {
	case <-f.happened:
	case <-time.After(30 * time.Second):
		t.Error("nothing was reported of what the kernel has taken")
	}
	near.Close()
	<-ended
}

// A firstProgress is a Flow that says when there was progress.
type firstProgress struct {
	once     sync.Once
	happened chan struct{}
}

func (f *firstProgress) Wait()        {}
func (f *firstProgress) Progress(int) { f.once.Do(func() { close(f.happened) }) }
func (f *firstProgress) Over() bool   { return false }
