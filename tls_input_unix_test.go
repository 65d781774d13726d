//go:build unix

package chanio_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/buffer"
	"example.com/chanio/internal/sock"
	"example.com/chanio/internal/tlsrecord"
)

// An input is a transport as its reader sees it: the test is the reader.
type input struct {
	*chanio.TLSInput
	t      testing.TB
	socket *sock.Socket
	peer   *tlsPeer
	keys   bytes.Buffer // the peer's key log
}

// newInput returns an input that has shaken hands.
func newInput(t testing.TB, version uint16) *input {
	t.Helper()
	server, client := testTLS(t)
	client.ServerName = "localhost"
	client.MaxVersion = version
	client.DynamicRecordSizingDisabled = true
	a, b := socketPair(t, "tcp")
	t.Cleanup(func() { a.Close(); b.Close() })
	require.NoError(t, a.SetDeadline(time.Now().Add(patience)))
	require.NoError(t, b.SetDeadline(time.Now().Add(patience)))
	w := &wire{Conn: a}
	in := &input{TLSInput: chanio.NewTLSInput(b, tls.Server, server), t: t, socket: sock.Of(b)}
	client.CipherSuites = legacySuites
	client.KeyLogWriter = &in.keys
	in.peer = &tlsPeer{tls.Client(w, client), w}
	in.DropWhen(noTimer())
	shaken := make(chan error)
	go func() { shaken <- in.peer.Handshake() }()
	require.NoError(t, in.Handshake(t.Context()))
	require.NoError(t, <-shaken)
	return in
}

// take reads until n bytes have arrived.
func (in *input) take(n int) (all []byte) {
	in.t.Helper()
	for len(all) < n {
		b, n, err := in.Read()
		require.NoError(in.t, err)
		all = append(all, b.B[:n]...)
		b.Free()
	}
	return all
}

// idle reads once more, and requires that nothing has come.
func (in *input) idle() {
	in.t.Helper()
	_, reads, err := in.Poll()
	require.NoError(in.t, err)
	require.Zero(in.t, reads, "there is nothing")
}

// noTimer returns a timer that drops no buffers: the test does.
func noTimer() *time.Timer { return time.NewTimer(time.Hour) }

// forget drops the buffers, as happens after a while without a read.
func (in *input) forget() {
	in.t.Helper()
	in.Drop()
	in.Drop() // nothing was read since
	require.False(in.t, in.WillDrop())
	in.DropWhen(noTimer())
}

func TestRecordsThatArriveInPartsAreReadWhole(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			in := newInput(t, version)
			rng := rand.New(rand.NewPCG(1, 2))
			for _, size := range []int{1, 100, 5000, chanio.MaxRecord, 10, 70_000} {
				want := noise(size)
				sealed := in.peer.seal(func() {
					_, err := in.peer.Write(want)
					require.NoError(t, err)
				})

				var got []byte
				for sealed.Len() > 0 {
					piece := sealed.Next(1 + rng.IntN(9000))
					_, err := in.peer.wire.Conn.Write(piece)
					require.NoError(t, err)
					if sealed.Len() > 0 {
						got = append(got, in.poll(t)...)
					}
				}
				got = append(got, in.take(size-len(got))...)
				require.True(t, bytes.Equal(want, got))
				in.idle()
				require.Equal(t, tlsrecord.Reader{}, in.Rest())
			}
		})
	}
}

// legacyInput returns an input of TLS 1.2, and the records of its peer.
func legacyInput(t *testing.T) (*input, *legacyRecords) {
	in := newInput(t, tls.VersionTLS12)
	return in, newLegacyRecords(t, in.keys.String(), in.peer.wire.heard, false)
}

func (in *input) send(records ...[]byte) {
	in.t.Helper()
	_, err := in.peer.wire.Conn.Write(bytes.Join(records, nil))
	require.NoError(in.t, err)
}

func TestDataAfterAWarningAlertIsReadInOrder(t *testing.T) {
	in, peer := legacyInput(t)
	for _, size := range []int{1, 10_000, chanio.MaxRecord} {
		want := noise(size)
		in.send(peer.record(recordData, []byte("x")), peer.record(recordAlert, []byte{1, 90}), peer.record(recordData, want))
		got := in.take(1 + size)
		require.Equal(t, byte('x'), got[0])
		require.True(t, bytes.Equal(want, got[1:]))
		in.idle()
	}
}

// Data follows an incomplete handshake message.
func TestNothingIsReadAfterAnError(t *testing.T) {
	in, peer := legacyInput(t)
	in.send(peer.record(recordData, []byte("x")), peer.record(recordHandshake, []byte{0}), peer.record(recordData, noise(10_000)), peer.record(recordData, noise(10_000)))
	require.Equal(t, "x", string(in.take(1)))
	for range 2 {
		_, n, err := in.Read()
		require.ErrorContains(t, err, "pending application data")
		require.Zero(t, n)
	}
}

func TestOneReadTakesABoundedPartOfAFloodOfKeyUpdates(t *testing.T) {
	in := newInput(t, tls.VersionTLS13)
	peer := newRecordPeer(t, in.peer, in.keys.String())
	var flood []byte
	one := 0
	for range 300 {
		flood = append(flood, peer.chatter(t)...)
		one = cmp.Or(one, len(flood))
	}
	in.send(flood)
	b, n, err := in.Read()
	require.NoError(t, err)
	b.Free()
	require.Positive(t, n)
	require.LessOrEqual(t, n, 1+(chanio.Chaff+chanio.ChaffPerByte*n)/one)
}

// poll reads what has arrived by now, perhaps nothing.
func (in *input) poll(t *testing.T) []byte {
	t.Helper()
	got, _, err := in.Poll()
	require.NoError(t, err)
	return got
}

func TestRecordsThatFillTheBlockAreReadWithWhatFollows(t *testing.T) {
	in := newInput(t, tls.VersionTLS13)
	const overhead = 5 + 1 + 16 // a record's header, type and tag
	full := noise(tlsrecord.BlockLen - 3*overhead)
	_, err := in.peer.Write(full)
	require.NoError(t, err)
	_, err = in.peer.Write([]byte("more"))
	require.NoError(t, err)
	got := in.take(len(full) + len("more"))
	require.True(t, bytes.Equal(full, got[:len(full)]), "records that end where the block does")
	require.Equal(t, "more", string(got[len(full):]))
	in.idle()
}

// What a read had no room for is in crypto/tls, where waiting for the socket would
// not find it.
func TestTheRestOfARecordThatFilledARead(t *testing.T) {
	in := newInput(t, tls.VersionTLS13)
	sent := noise(7 * 10_000) // one read takes 64 KiB, which ends inside a record
	for record := range slices.Chunk(sent, 10_000) {
		_, err := in.peer.Write(record)
		require.NoError(t, err)
	}
	require.True(t, bytes.Equal(sent, in.take(len(sent))))
	in.idle()
}

func TestARecordDoesNotOvertakeOneThatIsLeft(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("here all is left for the writer")
	}
	in := newInput(t, tls.VersionTLS13)
	records := noise(chanio.MaxRecord)
	sent := 0
	for owed := false; !owed; sent += len(records) {
		var err error
		owed, err = in.Post(records)
		require.NoError(t, err)
	}
	taken := sent - in.Left()
	_, err := io.CopyN(io.Discard, in.peer.wire.Conn, int64(taken))
	require.NoError(t, err)
	// There is room again.
	require.Eventually(t, func() bool { return in.socket.Progress().Left == 0 }, patience, time.Millisecond)
	owed, err := in.Post([]byte("the next"))
	require.NoError(t, err)
	require.True(t, owed)
	require.Equal(t, sent-taken+len("the next"), in.Left())
}

func TestInputReadWithTheEndIsNotLost(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			in := newInput(t, version)
			_, err := in.peer.Write([]byte("last words"))
			require.NoError(t, err)
			require.NoError(t, in.peer.CloseWrite())
			var got []byte
			for err == nil {
				var b *buffer.Buffer
				var n int
				b, n, err = in.Read()
				got = append(got, b.B[:n]...)
				b.Free()
			}
			require.Equal(t, io.EOF, err)
			require.Equal(t, "last words", string(got))
		})
	}
}

func TestRecordsAreReadWithOtherGoVersionsToo(t *testing.T) {
	in := newInput(t, tls.VersionTLS13)
	in.LoseBuffers() // as with a version that was not tested
	for _, size := range []int{1, 200_000, 10} {
		want := noise(size)
		go in.peer.Write(want)
		require.True(t, bytes.Equal(want, in.take(size)))
		in.idle()
	}
}

// A client of TLS 1.3 has done its part of the handshake before the server has,
// and may send, so an end that looks clean would be a lie.
func TestAHandshakeThatIsDroppedIsReset(t *testing.T) {
	for _, test := range []struct {
		name string
		o    chanio.Options
		drop func(l *chanio.Listener)
	}{
		{"after HandshakeTimeout", chanio.Options{HandshakeTimeout: 10 * time.Millisecond}, nil},
		{"by Restart", chanio.Options{}, func(l *chanio.Listener) { l.Restart(context.Background()) }},
		{"by Close", chanio.Options{}, func(l *chanio.Listener) { l.Close() }},
		{"as the oldest", chanio.Options{MaxHandshakes: 1}, func(l *chanio.Listener) { connectTo(t, l) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, _ := testTLS(t)
			began := make(chan struct{}, 2)
			certificate := server.Certificates[0]
			server.Certificates = nil
			server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				began <- struct{}{}
				return &certificate, nil
			}
			o := test.o
			o.TLS = server
			l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", &o)
			conn, err := net.Dial("tcp", l.Addr().String())
			if test.drop == nil && errors.Is(err, syscall.ECONNRESET) {
				return // dropped before Dial has looked
			}
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
			// The client gets the server's flight, and says no more.
			err = tls.Client(mute{conn}, &tls.Config{InsecureSkipVerify: true}).Handshake()
			if test.drop == nil && errors.Is(err, syscall.ECONNRESET) {
				return // dropped before the hello; a socket tells it once
			}
			if test.drop != nil {
				await(t, began, "the hello")
				test.drop(l)
			}
			_, err = io.Copy(io.Discard, conn)
			require.ErrorIs(t, err, syscall.ECONNRESET)
		})
	}
}
