package chanio_test

import (
	"context"
	"io/fs"
	"math"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestZeroOptionsAreTheDefaults(t *testing.T) {
	for _, o := range []*chanio.Options{nil, {}} {
		s, err := o.Resolve(false)
		require.NoError(t, err)
		require.Equal(t, chanio.Options{
			HandshakeTimeout: 10 * time.Second,
			MaxHandshakes:    1024,
			MaxMessage:       1 << 20,
			MessageTimeout:   30 * time.Second,
			RecvQueue:        chanio.DefaultQueue,
			SendQueue:        chanio.DefaultQueue,
			EventQueue:       64,
			PostQueue:        65536,
			WriteTimeout:     10 * time.Second,
			CloseTimeout:     5 * time.Second,
			HalfCloseTimeout: time.Minute,
			DialTimeout:      10 * time.Second,
			MaxLag:           16 << 20,
			Backoff:          chanio.Backoff{100 * time.Millisecond, 30 * time.Second, 2, 0.2},
		}, s.Options)
		s, err = o.Resolve(true)
		require.NoError(t, err)
		require.Equal(t, 2*time.Minute, s.IdleTimeout, "udp")
		require.Equal(t, 65536, s.MaxSessions, "udp")
	}
}

func TestNegativeOptionsAreNone(t *testing.T) {
	for _, peers := range []bool{false, true} {
		s, err := (&chanio.Options{
			HandshakeTimeout: -1, MaxHandshakes: -1, MessageTimeout: -1, RecvQueue: -1, SendQueue: -1,
			EventQueue: -1, IdleTimeout: -1, WriteTimeout: -1, CloseTimeout: -1, HalfCloseTimeout: -1, DialTimeout: -1,
			MaxSessions: -1, Backoff: chanio.Backoff{Min: -1, Jitter: -1},
		}).Resolve(peers)
		require.NoError(t, err)
		require.Equal(t, chanio.Options{
			MaxMessage: 1 << 20, PostQueue: 65536, MaxLag: 16 << 20,
			Backoff: chanio.Backoff{Max: 30 * time.Second, Factor: 2},
		}, s.Options)
	}
}

func TestOptionsAreNotModified(t *testing.T) {
	o := chanio.Options{RecvQueue: -1}
	before := o
	chanio.NewSession(t.Context(), nil, &o)
	_, err := o.Resolve(true)
	require.NoError(t, err)
	require.Equal(t, before, o)
}

// wrongOptions are invalid values, each with the field that the error must
// name.
var wrongOptions = []struct {
	name string // the field
	o    chanio.Options
}{
	{"MaxMessage", chanio.Options{MaxMessage: -1}},
	{"RecvQueue", chanio.Options{RecvQueue: math.MaxInt}},
	{"SendQueue", chanio.Options{SendQueue: math.MaxInt}},
	{"EventQueue", chanio.Options{EventQueue: math.MaxInt}},
	{"PostQueue", chanio.Options{PostQueue: -1}},
	{"ReadBuffer", chanio.Options{ReadBuffer: -1}},
	{"WriteBuffer", chanio.Options{WriteBuffer: -1}},
	{"SocketMode", chanio.Options{SocketMode: fs.ModeSetuid | 0o600}},
	{"ProxyFrom", chanio.Options{ProxyFrom: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}},
	{"ProxyFrom[0]", chanio.Options{ProxyProtocol: true, ProxyFrom: []netip.Prefix{{}}}},
	{"MaxLag", chanio.Options{MaxLag: -1}},
	{"Lag", chanio.Options{Lag: -1}},
	{"Lag", chanio.Options{Lag: chanio.LagBlock + 1}},
	{"Backoff.Max", chanio.Options{Backoff: chanio.Backoff{Max: -1}}},
	{"Backoff.Max", chanio.Options{Backoff: chanio.Backoff{Min: time.Second, Max: time.Millisecond}}},
	{"Backoff.Factor", chanio.Options{Backoff: chanio.Backoff{Factor: 0.5}}},
	{"Backoff.Factor", chanio.Options{Backoff: chanio.Backoff{Factor: -1}}},
	{"Backoff.Factor", chanio.Options{Backoff: chanio.Backoff{Factor: math.NaN()}}},
	{"Backoff.Factor", chanio.Options{Backoff: chanio.Backoff{Factor: math.Inf(1)}}},
	{"Backoff.Jitter", chanio.Options{Backoff: chanio.Backoff{Jitter: 1.5}}},
	{"Backoff.Jitter", chanio.Options{Backoff: chanio.Backoff{Jitter: math.NaN()}}},
	{"Multicast.TTL", chanio.Options{Multicast: chanio.Multicast{TTL: 256}}},
}

func TestAWrongOptionIsAnErrorThatNamesTheFieldEverywhere(t *testing.T) {
	for _, test := range wrongOptions {
		t.Run(test.name, func(t *testing.T) {
			requireNamed := func(err error) {
				t.Helper()
				require.ErrorContains(t, err, "chanio: option "+test.name+" ")
			}
			ctx := t.Context()
			_, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", &test.o)
			requireNamed(err)
			_, err = chanio.Dial(ctx, "tcp", "127.0.0.1:1", &test.o)
			requireNamed(err)

			a, b := net.Pipe()
			s := chanio.NewSession(ctx, a, &test.o)
			awaitDone(t, s)
			requireNamed(s.Err())
			b.Close()

			c := chanio.Connect(ctx, "tcp", "127.0.0.1:1", &test.o)
			awaitDone(t, c)
			requireNamed(c.Err())
			_, ok := await(t, c.Sessions(), "Sessions")
			require.False(t, ok)
			require.NoError(t, c.Close())

			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			l := chanio.Serve(ctx, ln, &test.o)
			awaitDone(t, l)
			requireNamed(l.Err())
			_, ok = await(t, l.Sessions(), "Sessions")
			require.False(t, ok)
			require.NoError(t, l.Close())
			_, err = ln.Accept()
			require.ErrorIs(t, err, net.ErrClosed, "it belongs to the listener")
		})
	}
}

func TestBackoffGrowsFromMinByFactorToMax(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name string
		b    chanio.Backoff
		want []time.Duration
	}{
		{"default", chanio.Backoff{}, []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms}},
		{"to Max", chanio.Backoff{Min: 10 * ms, Max: 35 * ms}, []time.Duration{10 * ms, 20 * ms, 35 * ms, 35 * ms}},
		{"Max is Min", chanio.Backoff{Min: 10 * ms, Max: 10 * ms}, []time.Duration{10 * ms, 10 * ms}},
		{"Min above the default Max", chanio.Backoff{Min: time.Hour}, []time.Duration{time.Hour, time.Hour}},
		{"constant", chanio.Backoff{Factor: 1}, []time.Duration{100 * ms, 100 * ms}},
		{"steep", chanio.Backoff{Factor: math.MaxFloat64}, []time.Duration{100 * ms, 30 * time.Second, 30 * time.Second}},
		{"none at first", chanio.Backoff{Min: -1}, []time.Duration{0, 100 * ms, 200 * ms, 400 * ms}},
		{"none at first, constant", chanio.Backoff{Min: -1, Factor: 1}, []time.Duration{0, 100 * ms, 100 * ms}},
		{"none at first, up to less than the default", chanio.Backoff{Min: -1, Max: ms}, []time.Duration{0, ms, ms}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := (&chanio.Options{Backoff: test.b}).Resolve(false)
			require.NoError(t, err)
			d := chanio.NoPause
			for _, want := range test.want {
				d = s.Backoff.Next(d)
				require.Equal(t, want, d)
			}
		})
	}
}

func TestJitterIsDrawnFromTheEndOfThePause(t *testing.T) {
	for _, test := range []struct {
		name   string
		jitter float64
		low    time.Duration
	}{{"default", 0, 80}, {"half", 0.5, 50}, {"all", 1, 0}, {"none", -1, 100}} {
		t.Run(test.name, func(t *testing.T) {
			s, err := (&chanio.Options{Backoff: chanio.Backoff{Jitter: test.jitter}}).Resolve(false)
			require.NoError(t, err)
			for range 1000 {
				d := s.Backoff.Jittered(100 * time.Second)
				require.LessOrEqual(t, d, 100*time.Second)
				require.GreaterOrEqual(t, d, test.low*time.Second)
			}
		})
	}
}

func TestSocketOptionsReachTheSocket(t *testing.T) {
	o := &chanio.Options{
		Nagle:       true,
		ReadBuffer:  1 << 16,
		WriteBuffer: 1 << 16,
		KeepAlive:   &net.KeepAliveConfig{Enable: true, Idle: time.Minute},
		ReuseAddr:   true,
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l, err := chanio.Listen(ctx, "tcp", "127.0.0.1:0", o)
	require.NoError(t, err)
	c, err := chanio.Dial(ctx, "tcp", l.Addr().String(), o)
	require.NoError(t, err)
	s, _ := await(t, l.Sessions(), "the session")
	require.NoError(t, c.Put([]byte("hello")))
	m, _ := await(t, s.Recv(), "a message")
	require.Equal(t, "hello", string(m))
	require.NoError(t, l.Close())
	awaitDone(t, c)
}
