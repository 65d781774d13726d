package chanio_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// receiveAll returns what arrives until the end of the stream.
func receiveAll(s *chanio.Session) []byte {
	var all []byte
	for m := range s.Recv() {
		all = append(all, m...)
	}
	return all
}

// receiveN returns the next n bytes.
func receiveN(t testing.TB, s *chanio.Session, n int) []byte {
	t.Helper()
	var all []byte
	for len(all) < n {
		m, ok := await(t, s.Recv(), "data")
		require.True(t, ok, "the session ended after %d of %d bytes: %v", len(all), n, s.Err())
		all = append(all, m...)
	}
	return all
}

func TestATLSStreamCutInsideARecordDoesNotEndCleanly(t *testing.T) {
	const record = 5 // bytes of a header, and more than that of a record
	for _, cut := range []struct {
		name string
		at   int
	}{{"after the first byte", 1}, {"inside the header", record - 1}, {"after the header", record}, {"inside the record", 100}} {
		t.Run(cut.name, func(t *testing.T) {
			eachTLS(t, chanio.Options{}, func(t *testing.T, s *chanio.Session, peer *tlsPeer) {
				_, err := peer.Write([]byte("whole"))
				require.NoError(t, err)
				require.Equal(t, "whole", string(receiveN(t, s, 5)))
				peer.wire.endAfter(cut.at)
				_, err = peer.Write(noise(1000))
				require.NoError(t, err)
				require.Empty(t, receiveAll(s))
				require.ErrorIs(t, s.Err(), io.ErrUnexpectedEOF)
				require.ErrorContains(t, s.Err(), "chanio: read ")
				require.ErrorContains(t, s.Err(), s.RemoteAddr().String())
				awaitDone(t, s)
			})
		})
	}
}

func TestATLSStreamThatEndsBetweenRecordsEndsClean(t *testing.T) {
	eachTLS(t, chanio.Options{}, func(t *testing.T, s *chanio.Session, peer *tlsPeer) {
		_, err := peer.Write([]byte("whole"))
		require.NoError(t, err)
		require.NoError(t, peer.NetConn().(*wire).Conn.(halfCloser).CloseWrite())
		require.Equal(t, "whole", string(receiveAll(s)))
		require.NoError(t, s.Close())
		require.NoError(t, s.Err())
	})
}

func TestATamperedTLSRecordEndsTheSession(t *testing.T) {
	eachTLS(t, chanio.Options{}, func(t *testing.T, s *chanio.Session, peer *tlsPeer) {
		_, err := peer.wire.Write([]byte("\x17\x03\x03\x00\x20--- this is no record at all ---"))
		require.NoError(t, err)
		require.Empty(t, receiveAll(s))
		require.ErrorContains(t, s.Err(), "bad record MAC")
		require.ErrorContains(t, s.Err(), s.RemoteAddr().String())
		_, err = io.Copy(io.Discard, peer)
		require.ErrorContains(t, err, "bad record MAC", "the peer is told")
	})
}

func TestAPeersCloseNotifyLeavesTheSessionWritable(t *testing.T) {
	eachTLS(t, chanio.Options{}, func(t *testing.T, s *chanio.Session, peer *tlsPeer) {
		_, err := peer.Write([]byte("question"))
		require.NoError(t, err)
		require.NoError(t, peer.CloseWrite())
		require.Equal(t, "question", string(receiveAll(s)))
		require.False(t, isClosed(s.Done()))
		answer := noise(1 << 20)
		go func() {
			s.Put(answer)
			s.CloseWrite()
		}()
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.True(t, bytes.Equal(answer, got))
		awaitDone(t, s)
		require.NoError(t, s.Err())
	})
}

func TestCloseWriteOverTLSLeavesTheSessionReadable(t *testing.T) {
	eachTLS(t, chanio.Options{}, func(t *testing.T, s *chanio.Session, peer *tlsPeer) {
		require.NoError(t, s.Put([]byte("question")))
		require.NoError(t, s.CloseWrite())
		got, err := io.ReadAll(peer)
		require.NoError(t, err, "it is a close_notify")
		require.Equal(t, "question", string(got))
		answer := noise(1 << 20)
		go func() {
			peer.Write(answer)
			peer.CloseWrite()
		}()
		require.True(t, bytes.Equal(answer, receiveAll(s)))
		awaitDone(t, s)
		require.NoError(t, s.Err())
	})
}

func TestCloseOverTLSFlushesDespiteUnreadInput(t *testing.T) {
	for _, reader := range []struct {
		name string
		end  func(peer *tlsPeer)
	}{
		{"a peer that ends its stream, too", func(peer *tlsPeer) { peer.CloseWrite() }},
		{"a peer that goes away", func(peer *tlsPeer) { peer.wire.Conn.Close() }},
		{"a peer that stays", func(*tlsPeer) {}},
	} {
		t.Run(reader.name, func(t *testing.T) {
			eachTLS(t, chanio.Options{}, func(t *testing.T, s *chanio.Session, peer *tlsPeer) {
				_, err := peer.Write(noise(200_000)) // more than is ever received
				require.NoError(t, err)
				want := noise(1 << 20)
				go func() {
					for m := range slices.Chunk(want, 10_000) {
						s.Put(bytes.Clone(m))
					}
					assert.NoError(t, s.Close())
				}()
				got, err := io.ReadAll(peer)
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got))
				reader.end(peer)
				awaitDone(t, s)
				require.NoError(t, s.Err())
				require.Zero(t, s.Stats().Undelivered)
				require.EqualValues(t, len(want), s.Stats().BytesSent)
			})
		})
	}
}

func TestAbortResetsTCPUnderTLS(t *testing.T) {
	cause := errors.New("enough")
	eachTLS(t, chanio.Options{}, func(t *testing.T, s *chanio.Session, peer *tlsPeer) {
		s.Abort(cause)
		awaitDone(t, s)
		require.Equal(t, cause, s.Err())
		_, err := peer.Read(make([]byte, 1))
		require.Error(t, err)
		if s.TLSIsRaw() && s.RemoteAddr().Network() == "tcp" {
			require.ErrorIs(t, err, errReset)
		}
	})
}

func TestAPeerThatTakesNothingOverTLSEndsTheSession(t *testing.T) {
	o := chanio.Options{WriteTimeout: 50 * time.Millisecond, CloseTimeout: -1, WriteBuffer: 1 << 14}
	eachTLS(t, o, func(t *testing.T, s *chanio.Session, peer *tlsPeer) {
		message := noise(100_000)
		for s.Put(message) == nil {
		}
		awaitDone(t, s)
		require.ErrorIs(t, s.Err(), os.ErrDeadlineExceeded)
		require.ErrorContains(t, s.Err(), "WriteTimeout of 50ms exceeded")
		require.NotZero(t, s.Stats().Undelivered)
	})
}

func TestCloseOverTLSTakesNoLongerThanCloseTimeout(t *testing.T) {
	o := chanio.Options{CloseTimeout: 50 * time.Millisecond, WriteTimeout: -1, WriteBuffer: 1 << 14}
	eachTLS(t, o, func(t *testing.T, s *chanio.Session, peer *tlsPeer) {
		message := noise(8 << 20)
		require.NoError(t, s.Put(message))
		_, err := io.ReadFull(peer.wire.Conn, make([]byte, 2*chanio.RecordBlockSize)) // more than one write
		require.NoError(t, err)
		require.ErrorIs(t, s.Close(), os.ErrDeadlineExceeded)
		require.ErrorContains(t, s.Err(), "CloseTimeout of 50ms exceeded")
		st := s.Stats()
		require.NotZero(t, st.Undelivered)
		require.NotZero(t, st.BytesSent)
		require.EqualValues(t, len(message), st.BytesSent+st.Undelivered)
	})
}

func TestTheTimeoutsOfAStalledTLSSessionAreExact(t *testing.T) {
	for _, test := range []struct {
		name  string
		end   func(s *chanio.Session)
		after time.Duration
	}{
		{"WriteTimeout", func(*chanio.Session) {}, chanio.DefaultWriteTimeout},
		{"CloseTimeout", func(s *chanio.Session) { s.Close() }, chanio.DefaultCloseTimeout},
		{"CloseWrite, and WriteTimeout", func(s *chanio.Session) { s.CloseWrite() }, chanio.DefaultWriteTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemServer(t, context.Background(), chanio.Options{})
				m.connect(t)
				s := <-m.Sessions()
				start := time.Now()
				s.Put([]byte("nobody takes this"))
				test.end(s)
				<-s.Done()
				require.Equal(t, test.after, time.Since(start))
				require.ErrorIs(t, s.Err(), os.ErrDeadlineExceeded)
			})
		})
	}
}

func TestWriteTimeoutAppliesToCloseNotify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemServer(t, context.Background(), chanio.Options{})
		m.connect(t)
		s := <-m.Sessions()
		start := time.Now()
		require.NoError(t, s.CloseWrite())
		<-s.Done()
		require.Equal(t, chanio.DefaultWriteTimeout, time.Since(start), "and not under the 5 seconds of crypto/tls")
		require.ErrorIs(t, s.Err(), os.ErrDeadlineExceeded)
	})
}

func TestASlowPeerOverTLSIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemServer(t, context.Background(), chanio.Options{})
		peer := m.connect(t)
		s := <-m.Sessions()
		want := noise(1 << 20)
		go func() {
			s.Put(want)
			s.CloseWrite()
		}()
		var got []byte
		buf := make([]byte, 64<<10)
		for {
			time.Sleep(time.Second)
			n, err := peer.Read(buf) // one record: a quarter of a write
			got = append(got, buf[:n]...)
			if err != nil {
				require.Equal(t, io.EOF, err)
				break
			}
		}
		require.True(t, bytes.Equal(want, got))
	})
}

func TestSessionsResume(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			server, client := testTLS(t)
			client.MaxVersion = version
			client.ClientSessionCache = tls.NewLRUClientSessionCache(0)
			l := listenTCP(t, &chanio.Options{TLS: server})
			serveEcho(t, l)
			resumed := func(s *chanio.Session) bool {
				state, _ := s.TLS()
				requireEcho(t, s, "a ticket comes before its echo")
				return state.DidResume
			}
			require.False(t, resumed(dialTLS(t, l, client)), "the first")
			require.True(t, resumed(dialTLS(t, l, client)), "the second")
			require.NoError(t, l.Restart(t.Context()))
			require.True(t, resumed(dialTLS(t, l, client)), "after a restart")

			c := chanio.Connect(context.Background(), "tcp", l.Addr().String(), &chanio.Options{TLS: client, Backoff: chanio.Backoff{Min: -1}})
			defer c.Close()
			for range 2 {
				s, _ := await(t, c.Sessions(), "a client's session")
				require.True(t, resumed(s), "a client")
				c.Reconnect()
			}
		})
	}
}

func TestAServerSeesThatASessionWasResumed(t *testing.T) {
	server, client := testTLS(t)
	client.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	l := listenTCP(t, &chanio.Options{TLS: server})
	for i := range 2 {
		c := dialTLS(t, l, client)
		s, _ := await(t, l.Sessions(), "a session")
		state, _ := s.TLS()
		require.Equal(t, i == 1, state.DidResume)
		go sendBack(s)
		requireEcho(t, c, "hello")
	}
}

func TestAMulticastReachesTLSMembersWholeAndInOrder(t *testing.T) {
	server, client := testTLS(t)
	l := listenTCP(t, &chanio.Options{TLS: server, Framing: chanio.Lines{}})
	const members, messages = 5, 2000
	var sessions []*chanio.Session
	for range members {
		c, err := chanio.Dial(context.Background(), "tcp", l.Addr().String(), &chanio.Options{TLS: client, Framing: chanio.Lines{}})
		require.NoError(t, err)
		defer func() { c.Abort(nil); awaitDone(t, c) }()
		sessions = append(sessions, c)
		await(t, l.Sessions(), "a session")
	}
	go func() {
		for i := range messages {
			l.Multicast(fmt.Appendf(nil, "%d %s", i, bytes.Repeat([]byte{'x'}, i)))
		}
	}()
	var readers sync.WaitGroup
	for _, c := range sessions { // all at once: one that waited for the others could be ended
		readers.Go(func() {
			for i := range messages {
				var m []byte
				select {
				case m = <-c.Recv():
				case <-time.After(patience):
				}
				if !assert.Equal(t, fmt.Sprintf("%d %s", i, bytes.Repeat([]byte{'x'}, i)), string(m), "%v", c.Err()) {
					return
				}
			}
		})
	}
	readers.Wait()
}

// TestAnEmptyMessageOfAHubIsNothingOverTLS puts it alone in a member's batch.
func TestAnEmptyMessageOfAHubIsNothingOverTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemServer(t, context.Background(), chanio.Options{})
		peer := m.connect(t)
		s := <-m.Sessions()
		require.NoError(t, m.Multicast(nil))
		synctest.Wait()
		require.EqualValues(t, 1, m.Hub().Stats().MessagesSent, "written, as it were")
		require.NoError(t, m.Multicast([]byte("one")))
		buf := make([]byte, 10)
		n, err := peer.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "one", string(buf[:n]))
		require.NoError(t, s.Err())
	})
}
