package chanio_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

// faultQueues are the queue lengths that every promise must hold with.
var faultQueues = []struct {
	name string
	size int
}{{"default queues", 0}, {"queues of 0", -1}, {"queues of 1", 1}}

// A conversation is what a client says to a server that echoes it, over a bad
// connection.
type conversation struct {
	framing chanio.Framing
	tls     bool
	queue   int
	link    *chaniotest.Link
	say     []string
}

// An outcome is the result of a conversation.
type outcome struct {
	heard  []string // by the server
	echoed []string // to the client
	client error
	server error // also the error of a handshake
	sent   int64 // bytes that the client has sent, framing included
}

// hold runs the conversation, and returns when both sessions have ended by
// themselves.
func (c conversation) hold(t *testing.T) (o outcome) {
	t.Helper()
	set := chanio.Options{
		Framing: c.framing, RecvQueue: c.queue, SendQueue: c.queue,
		HandshakeTimeout: 2 * time.Minute, MessageTimeout: 2 * time.Minute, IdleTimeout: 3 * time.Minute, WriteTimeout: 2 * time.Minute, CloseTimeout: time.Minute,
	}
	serverSet := set
	if c.tls {
		serverSet.TLS = faultServerTLS(t)
	}
	start := time.Now()
	ln := chaniotest.NewListener()
	l := chanio.Serve(t.Context(), ln, &serverSet)
	var server sync.WaitGroup
	server.Go(func() {
		for s := range l.Sessions() {
			for m := range s.Recv() {
				o.heard = append(o.heard, string(m))
				if s.Put(m) != nil {
					break
				}
			}
			s.Close()
			o.server = s.Err()
		}
	})
	server.Go(func() {
		for e := range l.Events() {
			if e.Kind == chanio.EventFailed && e.Session == nil {
				o.server = e.Err
			}
		}
	})

	conn, err := ln.Dial(t.Context(), c.link)
	require.NoError(t, err)
	var client *chanio.Session
	if c.tls {
		client = chanio.NewSession(t.Context(), tls.Client(conn, faultClientTLS(t)), &set)
	} else {
		client = chanio.NewSession(t.Context(), conn, &set)
	}
	var sender sync.WaitGroup
	sender.Go(func() {
		for _, m := range c.say {
			if client.Put([]byte(m)) != nil {
				return
			}
		}
		client.CloseWrite()
	})
	for m := range client.Recv() {
		o.echoed = append(o.echoed, string(m))
	}
	sender.Wait()
	<-client.Done()
	synctest.Wait() // a handshake that failed at the same time is told before the listener ends
	o.client = client.Err()
	o.sent = client.Stats().BytesSent
	require.NoError(t, l.Shutdown(t.Context()))
	server.Wait()
	assert.Less(t, time.Since(start), 20*time.Minute, "every session ends")
	return o
}

// requirePrefix checks that each peer heard the beginning of what was said, in
// order and once; where there are no messages, byte by byte.
func (c conversation) requirePrefix(t *testing.T, o outcome) {
	t.Helper()
	if c.framing == nil {
		require.True(t, strings.HasPrefix(strings.Join(c.say, ""), strings.Join(o.heard, "")), "the server heard %q", o.heard)
		require.True(t, strings.HasPrefix(strings.Join(o.heard, ""), strings.Join(o.echoed, "")), "%q came back of %q", o.echoed, o.heard)
		return
	}
	requireMessages(t, c.say, o.heard)
	requireMessages(t, o.heard, o.echoed)
}

// requireMessages checks that got is the beginning of want, each message whole.
func requireMessages(t *testing.T, want, got []string) {
	t.Helper()
	require.LessOrEqual(t, len(got), len(want))
	require.True(t, slices.Equal(want[:len(got)], got), "%q of %q", got, want)
}

// requireWhole checks that everything was said, heard and answered, and ended
// well.
func (c conversation) requireWhole(t *testing.T, o outcome) {
	t.Helper()
	require.NoError(t, o.client)
	require.NoError(t, o.server)
	if c.framing == nil {
		require.Equal(t, strings.Join(c.say, ""), strings.Join(o.heard, ""))
		require.Equal(t, strings.Join(c.say, ""), strings.Join(o.echoed, ""))
		return
	}
	require.Equal(t, c.say, o.heard)
	require.Equal(t, c.say, o.echoed)
}

// faultTime is a time at which the certificates of testdata are valid, whatever
// a bubble's clock says.
func faultTime() time.Time { return time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC) }

var faultCertificates = sync.OnceValues(func() (pair tls.Certificate, err error) {
	return tls.LoadX509KeyPair("testdata/server.crt", "testdata/server.key")
})

func faultServerTLS(t *testing.T) *tls.Config {
	t.Helper()
	pair, err := faultCertificates()
	require.NoError(t, err)
	return &tls.Config{Certificates: []tls.Certificate{pair}, Time: faultTime}
}

func faultClientTLS(t *testing.T) *tls.Config {
	t.Helper()
	ca, err := os.ReadFile("testdata/ca.crt")
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(ca))
	return &tls.Config{RootCAs: pool, ServerName: "localhost", Time: faultTime}
}

// faultFramings are the kinds of streams without TLS.
var faultFramings = []struct {
	name    string
	framing chanio.Framing
}{
	{"raw", nil},
	{"Lines", chanio.Lines{}},
	{"LengthPrefix", chanio.LengthPrefix{Size: 2}},
}

// eachByte holds c with a fault of each kind at each step-th byte of each
// direction, and hands the outcome to check.
func eachByte(t *testing.T, c conversation, bytes, step int64, check func(t *testing.T, c conversation, o outcome, f chaniotest.Fault)) {
	t.Helper()
	for _, kind := range []chaniotest.Fault{
		{Kind: chaniotest.EOF}, {Kind: chaniotest.Reset}, {Kind: chaniotest.Stall},
		{Kind: chaniotest.Stall, For: 30 * time.Second},
	} {
		for _, direction := range []string{"up", "down"} {
			t.Run(fmt.Sprintf("%v for %v %s", kind.Kind, kind.For, direction), func(t *testing.T) {
				for at := int64(0); at <= bytes; at += step {
					f := kind
					f.At = at
					link := &chaniotest.Link{Up: chaniotest.Path{Faults: []chaniotest.Fault{f}}}
					if direction == "down" {
						link.Up, link.Down = link.Down, link.Up
					}
					c.link = link
					var o outcome
					synctest.Test(t, func(t *testing.T) { o = c.hold(t) })
					if !t.Run("", func(t *testing.T) { check(t, c, o, f) }) {
						t.Fatalf("with the fault at byte %d: %+v", at, o)
					}
				}
			})
		}
	}
}

func TestAFaultAtEachByteOfAConversation(t *testing.T) {
	for _, q := range faultQueues {
		for _, framing := range faultFramings {
			t.Run(q.name+"/"+framing.name, func(t *testing.T) {
				c := conversation{framing: framing.framing, queue: q.size, say: []string{"one", "message two", "3"}}
				var good outcome
				synctest.Test(t, func(t *testing.T) { good = c.hold(t) })
				c.requireWhole(t, good)
				eachByte(t, c, good.sent, 1, requireFault)
			})
		}
	}
}

// requireFault checks the outcome of a conversation with f in it.
func requireFault(t *testing.T, c conversation, o outcome, f chaniotest.Fault) {
	c.requirePrefix(t, o)
	up := c.link.Up.Faults != nil
	switch {
	case f.Kind == chaniotest.Stall && f.For > 0:
		c.requireWhole(t, o)
	case f.Kind == chaniotest.Reset:
		// The end that was done with everything need not notice.
		require.True(t, o.client != nil || o.server != nil)
		for _, err := range []error{o.client, o.server} {
			if err != nil {
				require.True(t, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE), "%v", err)
			}
		}
	case f.Kind == chaniotest.Stall && up:
		require.ErrorIs(t, o.server, os.ErrDeadlineExceeded, "nothing came")
	case f.Kind == chaniotest.Stall:
		require.ErrorIs(t, o.client, os.ErrDeadlineExceeded, "nothing came")
	case f.Kind == chaniotest.EOF:
		got, err := o.heard, o.server
		if !up {
			got, err = o.echoed, o.client
		}
		if c.framing == nil {
			require.Len(t, strings.Join(got, ""), int(f.At), "up to that byte all has arrived")
		}
		if c.framing != nil && !atMessage(c, f.At) {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		} else {
			require.NoError(t, err)
		}
	}
}

// atMessage reports whether byte at is between two messages.
func atMessage(c conversation, at int64) bool {
	for _, m := range c.say {
		if at <= 0 {
			break
		}
		frame, _ := c.framing.AppendFrame(nil, []byte(m))
		at -= int64(len(frame))
	}
	return at == 0
}

func TestAFaultAtManyBytesOfATLSConversation(t *testing.T) {
	for i, q := range faultQueues {
		t.Run(q.name, func(t *testing.T) {
			c := conversation{framing: chanio.Lines{}, tls: true, queue: q.size, say: []string{"one", "message two", "3"}}
			var good outcome
			synctest.Test(t, func(t *testing.T) { good = c.hold(t) })
			c.requireWhole(t, good)
			// Odd steps let the three runs stop at different bytes. The handshake and
			// everything after it are some 1,500 bytes up and 2,000 down.
			eachByte(t, c, 2500, int64(83+2*i), requireTLSFault)
		})
	}
}

// requireTLSFault checks the outcome of a conversation over TLS with f in it.
func requireTLSFault(t *testing.T, c conversation, o outcome, f chaniotest.Fault) {
	c.requirePrefix(t, o)
	if f.Kind == chaniotest.Stall && f.For > 0 {
		c.requireWhole(t, o)
	}
	if o.client == nil && o.server == nil && f.Kind != chaniotest.EOF {
		c.requireWhole(t, o)
	}
}

// What was said arrives whole, in order and once, or up to the point at which
// the connection broke. Every session ends, and leaves no goroutine in its
// bubble.
func TestConversationsOverRandomLinks(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := conversation{queue: faultQueues[seed%3].size}
			switch seed / 3 % 4 {
			case 1:
				c.framing = chanio.Lines{}
			case 2:
				c.framing = chanio.LengthPrefix{Size: 2}
			case 3:
				c.framing, c.tls = chanio.Lines{}, true
			}
			bytes := 0
			for i := 0; bytes < 4000; i++ {
				m := fmt.Sprintf("message %d: %s", i, strings.Repeat("x", i*i%500))
				c.say = append(c.say, m)
				bytes += len(m)
			}
			c.link = chaniotest.RandomLink(seed, int64(bytes))
			var o outcome
			synctest.Test(t, func(t *testing.T) { o = c.hold(t) })
			if breaks(c.link) {
				c.requirePrefix(t, o)
			} else {
				c.requireWhole(t, o)
			}
		})
	}
}

// breaks reports whether link has faults that do not pass.
func breaks(link *chaniotest.Link) bool {
	for _, f := range append(link.Up.Faults, link.Down.Faults...) {
		if f.Kind != chaniotest.Stall || f.For == 0 {
			return true
		}
	}
	return false
}
