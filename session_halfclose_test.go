package chanio_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestCloseWriteSendsWhatWasAcceptedThenTheEndOfStream(t *testing.T) {
	for _, way := range []struct {
		name string
		end  func(s *chanio.Session) error
	}{
		{"CloseWrite", (*chanio.Session).CloseWrite},
		{"closing Send", func(s *chanio.Session) error { close(s.Send()); return nil }},
	} {
		t.Run(way.name, func(t *testing.T) {
			eachPair(t, func(t *testing.T, s *chanio.Session, peer net.Conn) {
				want := noise(1 << 20)
				go func() {
					for rest := want; len(rest) > 0; rest = rest[1<<16:] {
						assert.NoError(t, s.Put(rest[:1<<16]))
					}
					assert.NoError(t, way.end(s))
					assert.NoError(t, s.CloseWrite(), "it is idempotent")
					assert.ErrorIs(t, s.Put([]byte("x")), chanio.ErrClosed)
				}()
				got, err := io.ReadAll(peer)
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got))
				if _, ok := peer.(halfCloser); !ok {
					awaitDone(t, s) // there is no half-close: it meant Close
					require.NoError(t, s.Err())
					return
				}
				_, err = peer.Write([]byte("still received"))
				require.NoError(t, err)
				m, _ := await(t, s.Recv(), "a message")
				require.Equal(t, "still received", string(m))
				require.False(t, isClosed(s.Done()))
				peer.Close()
				_, ok := await(t, s.Recv(), "the end of Recv")
				require.False(t, ok)
				awaitDone(t, s) // both directions have ended
				require.NoError(t, s.Err())
			})
		})
	}
}

func TestCloseWriteReleasesAndRefusesPuts(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		accepted := fill(t, s)
		result := make(chan error)
		go func() { result <- s.Put([]byte("x")) }()
		synctest.Wait()
		require.NoError(t, s.CloseWrite())
		require.ErrorIs(t, <-result, chanio.ErrClosed)
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.Len(t, got, int(accepted), "what was accepted goes out")
	})
}

func TestAfterThePeersEndTheLastAnswersGetOut(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		peer.CloseWrite()
		_, ok := <-s.Recv()
		require.False(t, ok)
		start := time.Now()
		go func() {
			for range 10 {
				<-time.After(59 * time.Second) // each is progress within HalfCloseTimeout
				assert.NoError(t, s.Put([]byte("x")))
			}
			assert.NoError(t, s.CloseWrite())
		}()
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.Len(t, got, 10)
		<-s.Done()
		require.Equal(t, 590*time.Second, since(start))
		require.NoError(t, s.Err())
	})
}

func TestAHandlerThatForgetsToCloseLeavesNothing(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		go func() {
			for range s.Recv() {
				s.Put([]byte("answer"))
			}
		}()
		go peer.Write([]byte("question"))
		_, err := io.ReadFull(peer, make([]byte, len("answer")))
		require.NoError(t, err)
		start := time.Now()
		peer.CloseWrite()
		_, err = peer.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		<-s.Done()
		require.Equal(t, time.Minute, since(start))
		requireTimeout(t, s.Err())
		require.ErrorContains(t, s.Err(), "HalfCloseTimeout")
	})
}

func TestAPeerThatEndedAndTakesNothingEndsTheSessionWithAnError(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		accepted := fill(t, s)
		start := time.Now()
		peer.CloseWrite()
		<-s.Done()
		require.Equal(t, 10*time.Second, since(start), "WriteTimeout")
		requireTimeout(t, s.Err())
		requireAllIsCounted(t, s, accepted)
	})
}

func TestAPeerThatEndedAndTakesNothingOfAHubEndsTheSessionWithAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, nil)
		s, peer := joinMem(t, h, nil)
		require.NoError(t, h.Multicast(message(0, 1000)))
		synctest.Wait()
		require.EqualValues(t, 1000, s.Stats().BytesPending)
		start := time.Now()
		peer.CloseWrite()
		<-s.Done()
		require.Equal(t, 10*time.Second, since(start), "WriteTimeout")
		requireTimeout(t, s.Err())
		requireAllIsCounted(t, s, 1000)
	})
}

func TestAPeerThatEndedAndTakesALongMessageSlowlyGetsAllOfIt(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		peer.CloseWrite()
		want := noise(1 << 20)
		require.NoError(t, s.Put(want))
		require.NoError(t, s.CloseWrite())
		got := readSlowly(t, peer, chanio.RecordBlockSize, 4*time.Second)
		require.True(t, bytes.Equal(want, got))
		<-s.Done()
		require.NoError(t, s.Err())
	})
}

func TestAMessageThatWaitsForASlowPeerProlongsAHalfClosedSession(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.WriteTimeout = -1
		s, peer := memSession(t, &o)
		peer.CloseWrite()
		<-time.After(50 * time.Second)
		require.NoError(t, s.Put([]byte("answer")))
		<-time.After(50 * time.Second)
		require.NoError(t, s.CloseWrite())
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.Equal(t, "answer", string(got))
		<-s.Done()
		require.NoError(t, s.Err())
	})
}

func TestAMessageThatWaitsForTheWriterProlongsAHalfClosedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, peer := memSession(t, &chanio.Options{WriteTimeout: -1, SendQueue: 8})
		require.NoError(t, s.Put([]byte("0")))
		synctest.Wait() // the writer waits for the peer
		peer.CloseWrite()
		for i := range 5 {
			<-time.After(50 * time.Second)
			require.NoError(t, s.Put([]byte{'1' + byte(i)}))
		}
		require.NoError(t, s.CloseWrite())
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.Equal(t, "012345", string(got))
		<-s.Done()
		require.NoError(t, s.Err())
	})
}

// readSlowly reads size bytes after each pause, until the end.
func readSlowly(t *testing.T, peer net.Conn, size int, pause time.Duration) (all []byte) {
	t.Helper()
	for {
		<-time.After(pause)
		b := make([]byte, size)
		n, err := io.ReadFull(peer, b)
		all = append(all, b[:n]...)
		if err != nil {
			require.True(t, err == io.EOF || err == io.ErrUnexpectedEOF, err)
			return all
		}
	}
}

func TestASessionEndsWithTheFramingsErrorIfItsOutputHasEnded(t *testing.T) {
	for name, f := range map[string]chanio.Framing{"lines": chanio.Lines{}, "a framing with a state": talk{}} {
		t.Run(name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				o.Framing, o.MaxMessage = f, 100
				s, peer := memSession(t, &o)
				require.NoError(t, s.CloseWrite())
				_, err := io.ReadAll(peer)
				require.NoError(t, err)
				go say(t, peer, strings.Repeat("no line ", 20)+"\n")
				for range s.Recv() {
				}
				require.Error(t, s.Err())
				began := time.Now()
				<-s.Done()
				require.LessOrEqual(t, time.Since(began), time.Second)
			})
		})
	}
}

func TestShutdownEndsASessionWhoseOutputHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ln := serveMem(t, &chanio.Options{CloseTimeout: -1})
		peer, err := ln.Dial(t.Context(), nil)
		require.NoError(t, err)
		defer peer.Close()
		s := <-l.Sessions()
		require.NoError(t, s.CloseWrite())
		_, err = io.ReadAll(peer)
		require.NoError(t, err)
		began := time.Now()
		require.NoError(t, l.Shutdown(t.Context()))
		require.LessOrEqual(t, time.Since(began), time.Second)
	})
}
