package chanio_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/tlsrecord"
)

// countedConn counts its writes.
type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func TestRecordsAreGatheredIntoOneWrite(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			server, client := testTLS(t)
			client.MaxVersion = version
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			var writes atomic.Int64
			l := chanio.Serve(context.Background(), countedListener{ln, &writes}, &chanio.Options{TLS: server})
			defer l.Close()
			peer := dialPeer(t, l.Addr(), client)
			s, _ := await(t, l.Sessions(), "a session")

			before := writes.Load()
			want := noise(64 << 10) // four records
			require.NoError(t, s.Put(want))
			require.NoError(t, s.Flush(t.Context()))
			require.EqualValues(t, 1, writes.Load()-before)
			got := make([]byte, len(want))
			_, err = io.ReadFull(peer, got)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, got))
		})
	}
}

type countedListener struct {
	net.Listener
	writes *atomic.Int64
}

func (l countedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countedConn{conn, l.writes}, nil
}

func TestABatchOfManySizesKeepsItsBytesAndTheirCount(t *testing.T) {
	server, client := testTLS(t)
	l := listenTCP(t, &chanio.Options{TLS: server})
	peer := dialPeer(t, l.Addr(), client)
	s, _ := await(t, l.Sessions(), "a session")
	sizes := []int{0, 1, chanio.MaxRecord - 1, chanio.MaxRecord, chanio.MaxRecord + 1, chanio.BlockSize - 1, chanio.BlockSize, chanio.BlockSize + 1, 300_000, 5}
	var want []byte
	for _, size := range sizes {
		want = append(want, noise(size)...)
	}
	go func() {
		defer s.CloseWrite()
		for _, size := range sizes {
			s.Put(noise(size))
		}
	}()
	got, err := io.ReadAll(peer)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got))
	require.EqualValues(t, len(want), s.Stats().BytesSent)
}

func TestRecordsThatArriveInPiecesAreWhole(t *testing.T) {
	for _, piece := range []int{1, 7, 1000, 20_000} {
		t.Run(fmt.Sprintf("%d bytes", piece), func(t *testing.T) {
			eachTLS(t, chanio.Options{}, func(t *testing.T, s *chanio.Session, peer *tlsPeer) {
				peer.wire.piece = piece
				want := noise(2000 * min(piece, 100))
				go func() {
					writeInPieces(peer, want, 40_000, rand.New(rand.NewPCG(1, uint64(piece))))
					peer.CloseWrite()
				}()
				require.True(t, bytes.Equal(want, receiveAll(s)))
				require.NoError(t, s.Err())
			})
		})
	}
}

// recordServer returns a session whose peer makes its records itself.
func recordServer(t *testing.T, o chanio.Options) (*chanio.Session, *recordPeer) {
	t.Helper()
	o.TLS, _ = testTLS(t)
	l := listenTCP(t, &o)
	peer := dialRecordPeer(t, l.Addr())
	s, _ := await(t, l.Sessions(), "a session")
	return s, peer
}

func TestKeyUpdatesAreFollowedHoweverTheyArrive(t *testing.T) {
	s, peer := recordServer(t, chanio.Options{})
	go sendBack(s)
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 50 {
		message := noise(1 + rng.IntN(chanio.MaxRecord))
		var stream []byte
		if round%2 == 0 {
			stream = peer.keyUpdate(t, round%4 == 0)
		}
		stream = append(stream, peer.record(recordData, message)...)
		if round%2 == 1 {
			stream = append(stream, peer.keyUpdate(t, round%4 == 1)...)
		}
		// What is sent before each wait for the session is complete or cut.
		require.NoError(t, writeInPieces(peer.wire, stream, len(stream), rng))
		got := make([]byte, len(message))
		_, err := io.ReadFull(peer, got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(message, got))
	}
}

func TestAKeyUpdateAfterOurCloseNotifyIsFollowed(t *testing.T) {
	s, peer := recordServer(t, chanio.Options{})
	require.NoError(t, s.CloseWrite())
	_, err := peer.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	peer.send(t, peer.keyUpdate(t, true), peer.record(recordData, []byte("still here")))
	require.Equal(t, "still here", string(receiveN(t, s, 10)))
	peer.send(t, peer.record(recordAlert, []byte{1, 0}))
	awaitDone(t, s)
	require.NoError(t, s.Err())
	rest, err := io.ReadAll(peer.wire.Conn)
	require.NoError(t, err)
	require.Empty(t, rest, "nothing follows a close_notify (RFC 8446, 6.1)")
}

func TestAKeyUpdateAnsweredWhileTheWriterWaitsBlocksNothing(t *testing.T) {
	s, peer := recordServer(t, chanio.Options{})
	want := noise(16 << 20) // more than kernels hold
	go func() {
		for m := range slices.Chunk(want, 100_000) {
			s.Put(bytes.Clone(m))
		}
		s.CloseWrite()
	}()
	// The answer waits for what the writer has, and what comes here waits for the
	// answer, or the answer finds a gap between two writes.
	for range 10 {
		peer.send(t, peer.record(recordData, []byte("x")), peer.keyUpdate(t, true), peer.record(recordData, []byte("y")))
	}
	got, err := io.ReadAll(peer)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got))
	require.Equal(t, bytes.Repeat([]byte("xy"), 10), receiveN(t, s, 20))
}

// eachDeaf runs f for a session whose peer is about to ask for answers and to
// take none: for one that is alone, and for one of many.
func eachDeaf(t *testing.T, o chanio.Options, f func(t *testing.T, s *chanio.Session, peer *recordPeer)) {
	for _, others := range []int{0, 10} {
		t.Run(fmt.Sprintf("%d others", others), func(t *testing.T) {
			config, _ := testTLS(t)
			o := o
			o.WriteBuffer = 1 << 12
			// A TCP whose receive buffer is full also drops acknowledgements of its
			// own segments, so both ends might only retransmit. Unix sockets do not.
			accepted, addr := startListener("unix")(t, config, &o)
			for range others {
				dialRecordPeer(t, addr)
				accepted()
			}
			peer := dialRecordPeer(t, addr)
			f(t, accepted(), peer)
		})
	}
}

// ask sends records that ask for answers.
func (p *recordPeer) ask(t *testing.T) error {
	_, err := p.wire.Write(p.chatter(t))
	return err
}

// chatter asks for as many answers before a message as crypto/tls accepts
// without ending the session for too many updates.
func (p *recordPeer) chatter(t *testing.T) (records []byte) {
	for range 15 {
		records = append(records, p.keyUpdate(t, true)...)
	}
	return append(records, p.record(recordData, []byte("x"))...)
}

// eachReader runs f for a listener's session that is alone, and for one of many.
func eachReader(t *testing.T, f func(t *testing.T, accepted func() *chanio.Session, addr net.Addr)) {
	for _, others := range []int{0, 10} {
		t.Run(fmt.Sprintf("%d others", others), func(t *testing.T) {
			config, _ := testTLS(t)
			accepted, addr := startListener("tcp")(t, config, new(chanio.Options))
			for range others {
				dialRecordPeer(t, addr)
				accepted()
			}
			f(t, accepted, addr)
		})
	}
}

// The error is one that crypto/tls has found after data, and does not repeat.
func TestAReadErrorWithDataEndsTheSession(t *testing.T) {
	eachReader(t, func(t *testing.T, accepted func() *chanio.Session, addr net.Addr) {
		peer := dialRecordPeer(t, addr)
		s := accepted()
		const serverHelloDone = 14 // which has no place here
		peer.send(t, peer.record(recordData, []byte("x")), peer.record(recordHandshake, []byte{serverHelloDone, 0, 0, 0}))
		require.Equal(t, "x", string(receiveAll(s)))
		awaitDone(t, s)
		require.ErrorContains(t, s.Err(), "unexpected handshake message")
	})
}

func TestDataAfterAWarningAlertIsDelivered(t *testing.T) {
	eachReader(t, func(t *testing.T, accepted func() *chanio.Session, addr net.Addr) {
		peer, records := dialLegacyPeer(t, addr)
		s := accepted()
		for range 3 {
			_, err := peer.wire.Conn.Write(slices.Concat(records.record(recordData, []byte("x")), records.record(recordAlert, []byte{1, 90}), records.record(recordData, []byte("yyy"))))
			require.NoError(t, err)
			require.Equal(t, "xyyy", string(receiveN(t, s, 4)))
		}
	})
}

func TestWriteTimeoutAppliesToAPeersAnswers(t *testing.T) {
	eachDeaf(t, chanio.Options{WriteTimeout: 50 * time.Millisecond}, func(t *testing.T, s *chanio.Session, peer *recordPeer) {
		go func() {
			for range s.Recv() {
			}
		}()
		for peer.ask(t) == nil {
		}
		awaitDone(t, s)
		require.ErrorContains(t, s.Err(), "WriteTimeout of 50ms exceeded")
	})
}

func TestAnswersThatAPeerDoesNotTakeAreBounded(t *testing.T) {
	eachDeaf(t, chanio.Options{WriteTimeout: -1}, func(t *testing.T, s *chanio.Session, peer *recordPeer) {
		began := time.Now()
		for asked, read := 0, true; read; asked++ {
			require.Less(t, asked, 100_000, "it is read from without end")
			require.NoError(t, peer.ask(t))
			for waits := true; waits; {
				select {
				case <-s.Recv():
					waits = false
				case <-time.After(time.Second):
					// With less left to be sent, the reader is only slow.
					read = s.Records().Left() <= chanio.RecordBlockSize
					waits = read
					require.Less(t, time.Since(began), patience, "nothing is read")
				}
			}
			require.LessOrEqual(t, s.Records().Left(), chanio.RecordBlockSize+tlsrecord.BlockLen)
		}
	})
}

func TestASessionWithNothingElseToSendSendsItsAnswers(t *testing.T) {
	config, _ := testTLS(t)
	config.SessionTicketsDisabled = true // or they would come first
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	// The portable path sends nothing from where it reads.
	l := chanio.Serve(t.Context(), hiddenListener{ln}, &chanio.Options{TLS: config})
	defer l.Close()
	peer := dialRecordPeer(t, l.Addr())
	await(t, l.Sessions(), "a session")
	peer.send(t, peer.keyUpdate(t, true))
	header := make([]byte, 5)
	_, err = io.ReadFull(peer.wire.Conn, header)
	require.NoError(t, err)
	require.Equal(t, []byte{recordData, 3, 3, 0, 5 + 1 + 16}, header)
}

func TestFlushingRecordsWaitsForThoseOfAnotherFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemServer(t, t.Context(), chanio.Options{})
		peer := m.connect(t)
		s := <-m.Sessions()
		_, err := s.Records().Post([]byte("these"))
		require.NoError(t, err)
		flushed := make(chan error)
		for range 2 {
			go func() { flushed <- s.Records().Flush() }()
			synctest.Wait() // the first flush has taken everything, the second nothing
		}
		select {
		case <-flushed:
			t.Fatal("they were not sent")
		default:
		}
		_, err = io.ReadFull(peer.NetConn(), make([]byte, len("these")))
		require.NoError(t, err)
		require.NoError(t, <-flushed)
		require.NoError(t, <-flushed)
	})
}

func TestNoRecordFollowsOneThatCouldNotBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemServer(t, t.Context(), chanio.Options{})
		m.connect(t)
		s := <-m.Sessions()
		_, err := s.Records().Post([]byte("these"))
		require.NoError(t, err)
		flushed := make(chan error)
		go func() { flushed <- s.Records().Flush() }()
		synctest.Wait()
		s.Abort(nil)
		err = <-flushed
		require.Error(t, err)
		require.Equal(t, err, s.Records().Flush())
		_, again := s.Records().Post([]byte("those"))
		require.Equal(t, err, again)
	})
}
