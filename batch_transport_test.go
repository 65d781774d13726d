package chanio_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// sessionPairs are two sessions that talk to each other, over each transport of
// streams.
func sessionPairs(t *testing.T, test func(t *testing.T, near, far *chanio.Session), o chanio.Options) {
	for _, q := range queues {
		o := o
		o.RecvQueue, o.SendQueue, o.EventQueue = q.o.RecvQueue, q.o.SendQueue, q.o.EventQueue
		for _, p := range pairs {
			t.Run(p.name+"/"+q.name, func(t *testing.T) {
				a, b := p.make(t)
				near, far := chanio.NewSession(context.Background(), a, &o), chanio.NewSession(context.Background(), b, &o)
				defer func() {
					near.Abort(nil)
					far.Abort(nil)
					awaitDone(t, near)
					awaitDone(t, far)
				}()
				test(t, near, far)
			})
		}
		t.Run("tls/"+q.name, func(t *testing.T) {
			server, client := testTLS(t)
			near, far := tlsPair(t, o, server, client)
			test(t, near, far)
		})
	}
}

// receive is await for a value that must come.
func receive(t *testing.T, errs <-chan error, what string) error {
	t.Helper()
	err, ok := await(t, errs, what)
	require.True(t, ok)
	return err
}

func TestInEitherFormAnEchoIsWholeAndInOrderOverEachTransport(t *testing.T) {
	for _, framing := range []chanio.Framing{chanio.Lines{}, chanio.LengthPrefix{Varint: true}} {
		for _, f := range messageForms {
			t.Run(fmt.Sprintf("%T/%s", framing, f.name), func(t *testing.T) {
				sessionPairs(t, func(t *testing.T, near, far *chanio.Session) {
					echoed := make(chan error, 1)
					go func() {
						for {
							messages, open := f.recv(far)
							if !open {
								echoed <- far.CloseWrite()
								return
							}
							if err := f.put(far, messages...); err != nil {
								echoed <- err
								return
							}
						}
					}()
					want := append(lines(300), string(make([]byte, 200_000)), "last")
					put := make(chan error, 1)
					go func() {
						for i, rest := 0, want; ; i++ {
							n := min(1+i*i, len(rest))
							if err := f.put(near, rest[:n]...); err != nil || n == len(rest) {
								put <- err
								return
							}
							rest = rest[n:]
						}
					}()
					var got []string
					for len(got) < len(want) {
						messages, open := f.recv(near)
						require.True(t, open, near.Err())
						got = append(got, messages...)
					}
					require.NoError(t, receive(t, put, "the end of the sending"))
					require.Equal(t, want, got)
					require.NoError(t, near.Flush(t.Context()))
					require.NoError(t, near.Close())
					require.NoError(t, receive(t, echoed, "the end of the echo"))
					awaitDone(t, far)
					require.NoError(t, far.Err())
					for _, s := range []*chanio.Session{near, far} {
						st := s.Stats()
						require.EqualValues(t, len(want), st.MessagesSent)
						require.EqualValues(t, len(want), st.MessagesReceived)
						require.Zero(t, st.Undelivered)
					}
				}, chanio.Options{Framing: framing})
			})
		}
	}
}
