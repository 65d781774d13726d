package chanio_test

import (
	"crypto/tls"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// eachTLSOfOurs is eachTLS for the sessions whose records the library sees.
func eachTLSOfOurs(t *testing.T, o chanio.Options, f func(t *testing.T, s *chanio.Session, peer *tlsPeer)) {
	server, client := testTLS(t)
	for _, kind := range tlsKinds {
		if kind.given {
			continue
		}
		t.Run(kind.name, func(t *testing.T) {
			config := client.Clone()
			config.MaxVersion = kind.version
			o := o
			session, addr := kind.start(t, server, &o)
			peer := dialPeer(t, addr, config)
			f(t, session(), peer)
		})
	}
}

func TestARecordMustBeWholeWithinMessageTimeoutOfItsFirstByte(t *testing.T) {
	for _, framing := range []struct {
		name string
		f    chanio.Framing
	}{{"raw", nil}, {"lines", chanio.Lines{}}} {
		for _, part := range []struct {
			name string
			left int // bytes that the peer never sends
		}{{"all but a byte", 1}, {"the header", chanio.MaxRecord}, {"one byte", -1}} {
			t.Run(framing.name+"/"+part.name, func(t *testing.T) {
				eachTLSOfOurs(t, chanio.Options{MessageTimeout: 50 * time.Millisecond, Framing: framing.f}, func(t *testing.T, s *chanio.Session, peer *tlsPeer) {
					_, err := peer.Write([]byte("whole\n"))
					require.NoError(t, err)
					require.Contains(t, string(receiveN(t, s, 5)), "whole")
					sealed := peer.seal(func() {
						_, err := peer.Write(noise(chanio.MaxRecord)) // the first may be smaller
						require.NoError(t, err)
					}).Bytes()
					n := 5 + int(sealed[3])<<8 + int(sealed[4])
					switch part.left {
					case -1:
						n = 1
					case chanio.MaxRecord:
						n = 5
					default:
						n -= part.left
					}
					_, err = peer.wire.Conn.Write(sealed[:n])
					require.NoError(t, err)
					awaitDone(t, s)
					require.ErrorIs(t, s.Err(), os.ErrDeadlineExceeded)
					require.ErrorContains(t, s.Err(), "MessageTimeout of 50ms exceeded")
				})
			})
		}
	}
}

func TestMessageTimeoutIsOfOneRecordAndNotOfThePausesBetweenThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = time.Second
		m := newMemServer(t, t.Context(), chanio.Options{MessageTimeout: timeout})
		w := &wire{Conn: m.ln.dial()}
		peer := &tlsPeer{tls.Client(w, m.client), w}
		defer w.Close()
		require.NoError(t, peer.Handshake())
		raw := w.Conn
		s := <-m.Sessions()
		for range 3 {
			sealed := peer.seal(func() {
				_, err := peer.Write([]byte("hello"))
				require.NoError(t, err)
			}).Bytes()
			began := time.Now()
			for i, b := range sealed {
				_, err := raw.Write([]byte{b})
				require.NoError(t, err)
				if i < len(sealed)-1 { // the last comes just in time
					<-time.After((timeout - time.Millisecond) / time.Duration(len(sealed)-1))
				}
			}
			require.Equal(t, "hello", string(<-s.Recv()))
			require.Less(t, time.Since(began), timeout)
			<-time.After(10 * timeout)
		}
		_, err := raw.Write([]byte{23})
		require.NoError(t, err)
		began := time.Now()
		<-s.Done()
		require.Equal(t, timeout, time.Since(began))
		require.ErrorIs(t, s.Err(), os.ErrDeadlineExceeded)
	})
}

func TestAPartOfARecordThatIsDiscardedEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemServer(t, t.Context(), chanio.Options{Framing: chanio.Lines{}, MaxMessage: 10, MessageTimeout: time.Second})
		peer := m.connect(t)
		s := <-m.Sessions()
		_, err := peer.Write([]byte("a line that is too long\n"))
		require.NoError(t, err)
		_, err = peer.NetConn().Write([]byte{23, 3, 3, 0, 100, 1, 2, 3})
		require.NoError(t, err)
		_, ok := <-s.Recv()
		require.False(t, ok)
		require.ErrorIs(t, s.Err(), chanio.ErrMessageTooLarge)
		time.Sleep(10 * time.Second) // less than HalfCloseTimeout
		require.NoError(t, s.Put([]byte("sorry")))
		answer := make([]byte, 6)
		_, err = io.ReadFull(peer, answer)
		require.NoError(t, err)
		require.Equal(t, "sorry\n", string(answer))
	})
}
