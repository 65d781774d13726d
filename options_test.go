package chanio

import (
	"context"
	"io/fs"
	"math"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestZeroOptionsAreTheDefaults(t *testing.T) {
	for _, o := range []*Options{nil, {}} {
		s, err := o.resolve(false)
		require.NoError(t, err)
		require.Equal(t, Options{
			HandshakeTimeout: 10 * time.Second,
			MaxHandshakes:    1024,
			MaxMessage:       1 << 20,
			MessageTimeout:   30 * time.Second,
			RecvQueue:        defaultQueue,
			SendQueue:        defaultQueue,
			EventQueue:       64,
			PostQueue:        65536,
			WriteTimeout:     10 * time.Second,
			CloseTimeout:     5 * time.Second,
			HalfCloseTimeout: time.Minute,
			DialTimeout:      10 * time.Second,
			MaxLag:           16 << 20,
			Backoff:          Backoff{100 * time.Millisecond, 30 * time.Second, 2, 0.2},
		}, s.Options)
		s, err = o.resolve(true)
		require.NoError(t, err)
		require.Equal(t, 2*time.Minute, s.IdleTimeout, "udp")
		require.Equal(t, 65536, s.MaxSessions, "udp")
	}
}

func TestNegativeOptionsAreNone(t *testing.T) {
	for _, peers := range []bool{false, true} {
		s, err := (&Options{
			HandshakeTimeout: -1, MaxHandshakes: -1, MessageTimeout: -1, RecvQueue: -1, SendQueue: -1,
			EventQueue: -1, IdleTimeout: -1, WriteTimeout: -1, CloseTimeout: -1, HalfCloseTimeout: -1, DialTimeout: -1,
			MaxSessions: -1, Backoff: Backoff{Min: -1, Jitter: -1},
		}).resolve(peers)
		require.NoError(t, err)
		require.Equal(t, Options{
			MaxMessage: 1 << 20, PostQueue: 65536, MaxLag: 16 << 20,
			Backoff: Backoff{Max: 30 * time.Second, Factor: 2},
		}, s.Options)
	}
}

func TestOptionsAreNotModified(t *testing.T) {
	o := Options{RecvQueue: -1}
	before := o
	NewSession(t.Context(), nil, &o)
	_, err := o.resolve(true)
	require.NoError(t, err)
	require.Equal(t, before, o)
}

// wrongOptions are invalid values, each with the field that the error must
// name.
var wrongOptions = []struct {
	name string // the field
	o    Options
}{
	{"MaxMessage", Options{MaxMessage: -1}},
	{"RecvQueue", Options{RecvQueue: math.MaxInt}},
	{"SendQueue", Options{SendQueue: math.MaxInt}},
	{"EventQueue", Options{EventQueue: math.MaxInt}},
	{"PostQueue", Options{PostQueue: -1}},
	{"ReadBuffer", Options{ReadBuffer: -1}},
	{"WriteBuffer", Options{WriteBuffer: -1}},
	{"SocketMode", Options{SocketMode: fs.ModeSetuid | 0o600}},
	{"ProxyFrom", Options{ProxyFrom: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}},
	{"ProxyFrom[0]", Options{ProxyProtocol: true, ProxyFrom: []netip.Prefix{{}}}},
	{"MaxLag", Options{MaxLag: -1}},
	{"Lag", Options{Lag: -1}},
	{"Lag", Options{Lag: LagBlock + 1}},
	{"Backoff.Max", Options{Backoff: Backoff{Max: -1}}},
	{"Backoff.Max", Options{Backoff: Backoff{Min: time.Second, Max: time.Millisecond}}},
	{"Backoff.Factor", Options{Backoff: Backoff{Factor: 0.5}}},
	{"Backoff.Factor", Options{Backoff: Backoff{Factor: -1}}},
	{"Backoff.Factor", Options{Backoff: Backoff{Factor: math.NaN()}}},
	{"Backoff.Factor", Options{Backoff: Backoff{Factor: math.Inf(1)}}},
	{"Backoff.Jitter", Options{Backoff: Backoff{Jitter: 1.5}}},
	{"Backoff.Jitter", Options{Backoff: Backoff{Jitter: math.NaN()}}},
	{"Multicast.TTL", Options{Multicast: Multicast{TTL: 256}}},
}

func TestAWrongOptionIsAnErrorThatNamesTheFieldEverywhere(t *testing.T) {
	for _, test := range wrongOptions {
		t.Run(test.name, func(t *testing.T) {
			requireNamed := func(err error) {
				t.Helper()
				require.ErrorContains(t, err, "chanio: option "+test.name+" ")
			}
			ctx := t.Context()
			_, err := Listen(ctx, "tcp", "127.0.0.1:0", &test.o)
			requireNamed(err)
			_, err = Dial(ctx, "tcp", "127.0.0.1:1", &test.o)
			requireNamed(err)

			a, b := net.Pipe()
			s := NewSession(ctx, a, &test.o)
			awaitDone(t, s)
			requireNamed(s.Err())
			b.Close()

			c := Connect(ctx, "tcp", "127.0.0.1:1", &test.o)
			awaitDone(t, c)
			requireNamed(c.Err())
			_, ok := await(t, c.Sessions(), "Sessions")
			require.False(t, ok)
			require.NoError(t, c.Close())

			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			l := Serve(ctx, ln, &test.o)
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
		b    Backoff
		want []time.Duration
	}{
		{"default", Backoff{}, []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms}},
		{"to Max", Backoff{Min: 10 * ms, Max: 35 * ms}, []time.Duration{10 * ms, 20 * ms, 35 * ms, 35 * ms}},
		{"Max is Min", Backoff{Min: 10 * ms, Max: 10 * ms}, []time.Duration{10 * ms, 10 * ms}},
		{"Min above the default Max", Backoff{Min: time.Hour}, []time.Duration{time.Hour, time.Hour}},
		{"constant", Backoff{Factor: 1}, []time.Duration{100 * ms, 100 * ms}},
		{"steep", Backoff{Factor: math.MaxFloat64}, []time.Duration{100 * ms, 30 * time.Second, 30 * time.Second}},
		{"none at first", Backoff{Min: -1}, []time.Duration{0, 100 * ms, 200 * ms, 400 * ms}},
		{"none at first, constant", Backoff{Min: -1, Factor: 1}, []time.Duration{0, 100 * ms, 100 * ms}},
		{"none at first, up to less than the default", Backoff{Min: -1, Max: ms}, []time.Duration{0, ms, ms}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := (&Options{Backoff: test.b}).resolve(false)
			require.NoError(t, err)
			d := noPause
			for _, want := range test.want {
				d = s.Backoff.next(d)
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
			s, err := (&Options{Backoff: Backoff{Jitter: test.jitter}}).resolve(false)
			require.NoError(t, err)
			for range 1000 {
				d := s.Backoff.jitter(100 * time.Second)
				require.LessOrEqual(t, d, 100*time.Second)
				require.GreaterOrEqual(t, d, test.low*time.Second)
			}
		})
	}
}

func TestSocketOptionsReachTheSocket(t *testing.T) {
	o := &Options{
		Nagle:       true,
		ReadBuffer:  1 << 16,
		WriteBuffer: 1 << 16,
		KeepAlive:   &net.KeepAliveConfig{Enable: true, Idle: time.Minute},
		ReuseAddr:   true,
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l, err := Listen(ctx, "tcp", "127.0.0.1:0", o)
	require.NoError(t, err)
	c, err := Dial(ctx, "tcp", l.Addr().String(), o)
	require.NoError(t, err)
	s, _ := await(t, l.Sessions(), "the session")
	require.NoError(t, c.Put([]byte("hello")))
	m, _ := await(t, s.Recv(), "a message")
	require.Equal(t, "hello", string(m))
	require.NoError(t, l.Close())
	awaitDone(t, c)
}
