package chanio

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"math"
	"sync/atomic"
	"time"
)

const (
	defaultHandshakeTimeout = 10 * time.Second
	defaultMaxHandshakes    = 1024
	defaultMaxMessage       = 1 << 20
	defaultMessageTimeout   = 30 * time.Second
	defaultQueue            = 8
	defaultEventQueue       = 64
	defaultPostQueue        = 65536
	defaultUDPIdleTimeout   = 2 * time.Minute
	defaultWriteTimeout     = 10 * time.Second
	defaultCloseTimeout     = 5 * time.Second
	defaultHalfCloseTimeout = time.Minute
	defaultDialTimeout      = 10 * time.Second
	defaultUDPMaxSessions   = 65536
	defaultFramedQueue      = 32
	defaultMessageQueue     = 128
	defaultMaxLag           = 16 << 20
	defaultBackoffMin       = 100 * time.Millisecond
	defaultBackoffMax       = 30 * time.Second
	defaultBackoffFactor    = 2
	defaultBackoffJitter    = 0.2
)

// maxQueue is the longest queue: make panics on a channel that memory can't
// hold.
const maxQueue = 1 << 24

// settings are Options with every default resolved: here a zero duration, bound
// or queue means none.
type settings struct {
	Options
	began time.Time                // when they were resolved: what moments count from
	codec codec                    // of Framing; nil for raw streams
	other atomic.Pointer[settings] // the last that framedBy has made of these
}

// resolve returns o with its defaults filled in. udp selects the defaults for
// datagrams: sessions of a udp listener are peers' addresses and have bounds
// that streams lack, and bursts must be buffered somewhere.
func (o *Options) resolve(udp bool) (*settings, error) {
	if o == nil {
		o = new(Options)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &settings{Options: *o, began: time.Now(), codec: codecOf(o.Framing)}

	idle, sessions, queue := time.Duration(0), 0, defaultQueue
	if udp {
		idle, sessions = defaultUDPIdleTimeout, defaultUDPMaxSessions
	}
	switch {
	case udp:
		queue = defaultMessageQueue
	case o.Framing != nil:
		queue = defaultFramedQueue
	}
	s.HandshakeTimeout = orDefault(o.HandshakeTimeout, defaultHandshakeTimeout)
	s.MaxHandshakes = orDefault(o.MaxHandshakes, defaultMaxHandshakes)
	s.MaxMessage = orDefault(o.MaxMessage, defaultMaxMessage)
	s.MessageTimeout = orDefault(o.MessageTimeout, defaultMessageTimeout)
	s.RecvQueue = orDefault(o.RecvQueue, queue)
	s.SendQueue = orDefault(o.SendQueue, queue)
	s.EventQueue = orDefault(o.EventQueue, defaultEventQueue)
	s.PostQueue = orDefault(o.PostQueue, defaultPostQueue)
	s.IdleTimeout = orDefault(o.IdleTimeout, idle)
	s.WriteTimeout = orDefault(o.WriteTimeout, defaultWriteTimeout)
	s.CloseTimeout = orDefault(o.CloseTimeout, defaultCloseTimeout)
	s.HalfCloseTimeout = orDefault(o.HalfCloseTimeout, defaultHalfCloseTimeout)
	s.PingInterval = max(o.PingInterval, 0)
	s.PingTimeout = orDefault(o.PingTimeout, s.PingInterval)
	s.DialTimeout = orDefault(o.DialTimeout, defaultDialTimeout)
	s.MaxSessions = orDefault(o.MaxSessions, sessions)
	s.MaxSessionsPerAddr = orDefault(o.MaxSessionsPerAddr, 0)
	s.MaxLag = orDefault(o.MaxLag, defaultMaxLag)
	s.Backoff.Min = orDefault(o.Backoff.Min, defaultBackoffMin)
	s.Backoff.Max = max(orDefault(o.Backoff.Max, defaultBackoffMax), s.Backoff.Min)
	s.Backoff.Factor = orDefault(o.Backoff.Factor, defaultBackoffFactor)
	s.Backoff.Jitter = orDefault(o.Backoff.Jitter, defaultBackoffJitter)
	return s, nil
}

// orDefault resolves one value: zero is the default, negative is none.
func orDefault[T int | float64 | time.Duration](v, def T) T {
	switch {
	case v == 0:
		return def
	case v < 0:
		return 0
	}
	return v
}

// check reports the first invalid field.
func (o *Options) check() error {
	b := o.Backoff
	const tooLong = "can't be above 1<<24: a channel of that size is allocated"
	for _, f := range []struct {
		name  string
		value any
		bad   bool
		why   string
	}{
		{"MaxMessage", o.MaxMessage, o.MaxMessage < 0, "can't be negative: a peer would decide how much memory it takes"},
		{"RecvQueue", o.RecvQueue, o.RecvQueue > maxQueue, tooLong},
		{"SendQueue", o.SendQueue, o.SendQueue > maxQueue, tooLong},
		{"EventQueue", o.EventQueue, o.EventQueue > maxQueue, tooLong},
		{"PostQueue", o.PostQueue, o.PostQueue < 0, "can't be negative: nothing could be posted"},
		{"ReadBuffer", o.ReadBuffer, o.ReadBuffer < 0, "can't be negative"},
		{"WriteBuffer", o.WriteBuffer, o.WriteBuffer < 0, "can't be negative"},
		{"SocketMode", o.SocketMode, o.SocketMode&^fs.ModePerm != 0, "has more than permissions"},
		{"ProxyFrom", o.ProxyFrom, len(o.ProxyFrom) > 0 && !o.ProxyProtocol, "needs ProxyProtocol"},
		{"MaxLag", o.MaxLag, o.MaxLag < 0, "can't be negative: a slow member would decide how much memory it takes"},
		{"Lag", o.Lag, o.Lag < LagDisconnect || o.Lag > LagBlock, "is no policy"},
		{"Backoff.Max", b.Max, b.Max < 0, "can't be negative"},
		{"Backoff.Max", b.Max, b.Max > 0 && b.Max < b.Min, "can't be below Backoff.Min"},
		{"Backoff.Factor", b.Factor, b.Factor != 0 && !(b.Factor >= 1) || math.IsInf(b.Factor, 1), "must be a finite number of at least 1"},
		{"Backoff.Jitter", b.Jitter, !(b.Jitter <= 1), "can't be above 1"},
		{"TLS.MaxVersion", tlsMax(o.TLS), tlsMax(o.TLS) != 0 && tlsMax(o.TLS) < tls.VersionTLS12, "is below TLS 1.2"},
		{"Multicast.TTL", o.Multicast.TTL, o.Multicast.TTL > 255, "can't be above 255"},
	} {
		if f.bad {
			return fmt.Errorf("chanio: option %s = %v %s", f.name, f.value, f.why)
		}
	}
	if err := checkPrefixes(o.ProxyFrom); err != nil {
		return err
	}
	if f, ok := o.Framing.(interface{ check() error }); ok {
		if err := f.check(); err != nil {
			return fmt.Errorf("chanio: option Framing: %w", err)
		}
	}
	return o.checkPing()
}

func tlsMax(c *tls.Config) uint16 {
	if c == nil {
		return 0
	}
	return c.MaxVersion
}
