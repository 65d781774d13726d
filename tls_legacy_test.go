package chanio_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// legacyRecords makes the records of one direction of TLS 1.2 (RFC 5246, with
// the cipher suites of RFC 5288) after a full handshake. It can send what other
// stacks send and crypto/tls can't, such as a warning between two records of
// data.
type legacyRecords struct {
	aead cipher.AEAD
	salt []byte
	seq  uint64
}

// legacySuites have the keys that newLegacyRecords expects.
var legacySuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}

// newLegacyRecords derives the keys of a client or of a server from a key log
// and the server's first bytes.
func newLegacyRecords(t *testing.T, keyLog string, said []byte, server bool) *legacyRecords {
	t.Helper()
	fields := strings.Fields(keyLog)
	require.Len(t, fields, 3)
	require.Equal(t, "CLIENT_RANDOM", fields[0])
	clientRandom, err := hex.DecodeString(fields[1])
	require.NoError(t, err)
	master, err := hex.DecodeString(fields[2])
	require.NoError(t, err)
	serverRandom := said[5+4+2:][:32] // after the headers of the record and the message, and the version
	const keySize, saltSize = 16, 4
	keys := legacyPRF(master, "key expansion", append(bytes.Clone(serverRandom), clientRandom...), 2*keySize+2*saltSize)
	key, salt := keys[:keySize], keys[2*keySize:][:saltSize]
	if server {
		key, salt = keys[keySize:][:keySize], keys[2*keySize+saltSize:]
	}
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	return &legacyRecords{aead: aead, salt: salt, seq: 1} // Finished was the first record
}

// dialLegacyPeer returns a client, and the maker of its next records.
func dialLegacyPeer(t *testing.T, addr net.Addr) (*tlsPeer, *legacyRecords) {
	t.Helper()
	var keys bytes.Buffer
	_, config := testTLS(t)
	config.MaxVersion = tls.VersionTLS12
	config.CipherSuites = legacySuites
	config.KeyLogWriter = &keys
	peer := dialPeer(t, addr, config)
	return peer, newLegacyRecords(t, keys.String(), peer.wire.heard, false)
}

// legacyPRF is the PRF of RFC 5246, section 5.
func legacyPRF(secret []byte, label string, seed []byte, n int) (out []byte) {
	mac := func(b []byte) []byte {
		h := hmac.New(sha256.New, secret)
		h.Write(b)
		return h.Sum(nil)
	}
	seed = append([]byte(label), seed...)
	for a := mac(seed); len(out) < n; a = mac(a) {
		out = append(out, mac(append(bytes.Clone(a), seed...))...)
	}
	return out[:n]
}

// record returns the next record.
func (l *legacyRecords) record(kind byte, data []byte) []byte {
	seq := binary.BigEndian.AppendUint64(nil, l.seq)
	l.seq++
	authenticated := append(bytes.Clone(seq), kind, 3, 3)
	authenticated = binary.BigEndian.AppendUint16(authenticated, uint16(len(data)))
	record := binary.BigEndian.AppendUint16([]byte{kind, 3, 3}, uint16(len(seq)+len(data)+l.aead.Overhead()))
	return l.aead.Seal(append(record, seq...), append(bytes.Clone(l.salt), seq...), data, authenticated)
}

// renegotiating returns a session whose server has asked for a renegotiation,
// has got the session's hello, and says nothing more.
func renegotiating(t *testing.T, o *chanio.Options) *chanio.Session {
	serverConfig, clientConfig := testTLS(t)
	var keys bytes.Buffer
	serverConfig.KeyLogWriter = &keys
	serverConfig.CipherSuites = legacySuites
	clientConfig.MaxVersion = tls.VersionTLS12
	clientConfig.Renegotiation = tls.RenegotiateFreelyAsClient
	o.TLS = clientConfig
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	dialed := make(chan *chanio.Session, 1)
	go func() {
		s, err := chanio.Dial(context.Background(), "tcp", ln.Addr().String(), o)
		if err != nil {
			ln.Close()
		}
		dialed <- s
	}()
	conn, err := ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	w := &wire{Conn: conn}
	require.NoError(t, tls.Server(w, serverConfig).Handshake())
	s := <-dialed
	require.NotNil(t, s)
	t.Cleanup(func() { s.Abort(nil); awaitDone(t, s) })
	helloRequest := []byte{0, 0, 0, 0}
	_, err = conn.Write(newLegacyRecords(t, keys.String(), w.said, true).record(recordHandshake, helloRequest))
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	header := make([]byte, 5)
	_, err = io.ReadFull(conn, header)
	require.NoError(t, err)
	require.Equal(t, []byte{recordHandshake, 3, 3}, header[:3])
	return s
}

func TestWriteTimeoutEndsAnEndlessRenegotiationThatAWriteWaitsFor(t *testing.T) {
	s := renegotiating(t, &chanio.Options{WriteTimeout: 50 * time.Millisecond})
	require.NoError(t, s.Put([]byte("x")))
	awaitDone(t, s)
	requireTimeout(t, s.Err())
	require.EqualValues(t, 1, s.Stats().Undelivered)
}
