package chanio_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// A wire is the connection under a peer's TLS. It can be told to do what
// networks do.
type wire struct {
	net.Conn
	piece int // writes are cut into pieces of that many bytes; 0: they are not

	heard, said []byte // the first bytes of each direction

	mu    sync.Mutex
	left  int // after that many more bytes the stream ends, and the rest is lost
	ended bool
	armed bool // left counts
}

// endAfter ends the stream after n more bytes.
func (w *wire) endAfter(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left, w.armed = n, true
}

// keepFirst is how much of each direction a wire keeps.
const keepFirst = 100

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.heard = append(w.heard, p[:min(n, keepFirst-len(w.heard))]...)
	return n, err
}

func (w *wire) Write(p []byte) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, p[:min(len(p), keepFirst-len(w.said))]...)
	for n < len(p) {
		piece := len(p) - n
		if w.piece > 0 {
			piece = min(piece, w.piece)
		}
		if w.armed {
			piece = min(piece, w.left)
			w.left -= piece
		}
		if _, err := w.Conn.Write(p[n : n+piece]); err != nil {
			return n, err
		}
		n += piece
		if w.armed && w.left == 0 {
			if !w.ended {
				w.ended = true
				w.Conn.(halfCloser).CloseWrite()
			}
			return len(p), nil
		}
	}
	return n, nil
}

// A tlsPeer is the client of a session: crypto/tls, over a wire.
type tlsPeer struct {
	*tls.Conn
	wire *wire
}

// hiddenListener accepts connections that are not recognized as sockets.
type hiddenListener struct{ net.Listener }

func (l hiddenListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return hide(conn), nil
}

// tlsKinds are the ways in which a session comes to speak TLS. start returns a
// function that waits for the session, and the address that its peer must dial.
var tlsKinds = []struct {
	name    string
	version uint16
	given   bool // crypto/tls reads the connection itself
	start   func(t *testing.T, config *tls.Config, o *chanio.Options) (session func() *chanio.Session, addr net.Addr)
}{
	{"TLS 1.3", tls.VersionTLS13, false, startListener("tcp")},
	{"TLS 1.2", tls.VersionTLS12, false, startListener("tcp")},
	{"unix", tls.VersionTLS13, false, startListener("unix")},
	{"portable", tls.VersionTLS13, false, func(t *testing.T, config *tls.Config, o *chanio.Options) (func() *chanio.Session, net.Addr) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		o.TLS = config
		return sessionsOf(t, chanio.Serve(context.Background(), hiddenListener{ln}, o))
	}},
	{"TLS listener", tls.VersionTLS12, true, func(t *testing.T, config *tls.Config, o *chanio.Options) (func() *chanio.Session, net.Addr) {
		ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
		require.NoError(t, err)
		return sessionsOf(t, chanio.Serve(context.Background(), ln, o))
	}},
	{"given", tls.VersionTLS13, true, func(t *testing.T, config *tls.Config, o *chanio.Options) (func() *chanio.Session, net.Addr) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		accepted := make(chan *chanio.Session, 1)
		go func() {
			defer ln.Close()
			if conn, err := ln.Accept(); err == nil {
				s := chanio.NewSession(context.Background(), tls.Server(conn, config), o)
				t.Cleanup(func() { s.Abort(nil); awaitDone(t, s) })
				accepted <- s
			}
		}()
		return func() *chanio.Session { s, _ := await(t, accepted, "a session"); return s }, ln.Addr()
	}},
}

func startListener(network string) func(t *testing.T, config *tls.Config, o *chanio.Options) (func() *chanio.Session, net.Addr) {
	return func(t *testing.T, config *tls.Config, o *chanio.Options) (func() *chanio.Session, net.Addr) {
		address := anyAddress(t, network)
		o.TLS = config
		l, err := chanio.Listen(context.Background(), network, address, o)
		require.NoError(t, err)
		return sessionsOf(t, l)
	}
}

func sessionsOf(t *testing.T, l *chanio.Listener) (func() *chanio.Session, net.Addr) {
	t.Cleanup(func() { l.Close() })
	return func() *chanio.Session { s, _ := await(t, l.Sessions(), "a session"); return s }, l.Addr()
}

// eachTLS runs f for each kind of session, with its peer after the handshake.
func eachTLS(t *testing.T, o chanio.Options, f func(t *testing.T, s *chanio.Session, peer *tlsPeer)) {
	server, client := testTLS(t)
	for _, kind := range tlsKinds {
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

func dialPeer(t *testing.T, addr net.Addr, config *tls.Config) *tlsPeer {
	t.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	w := &wire{Conn: conn}
	config = config.Clone()
	config.ServerName = "localhost"
	tc := tls.Client(w, config)
	require.NoError(t, tc.Handshake())
	return &tlsPeer{tc, w}
}

// A recordPeer is the TLS 1.3 client of a session. It makes its records itself,
// since crypto/tls can't send a key update. It reads through crypto/tls.
type recordPeer struct {
	*tlsPeer
	newHash func() hash.Hash
	keySize int
	secret  []byte
	aead    cipher.AEAD
	iv      []byte
	seq     uint64
}

func dialRecordPeer(t *testing.T, addr net.Addr) *recordPeer {
	t.Helper()
	var keys bytes.Buffer
	_, config := testTLS(t)
	config.MinVersion = tls.VersionTLS13
	config.KeyLogWriter = &keys
	return newRecordPeer(t, dialPeer(t, addr, config), keys.String())
}

// newRecordPeer makes a recordPeer of a peer that has shaken hands, and of its
// key log.
func newRecordPeer(t *testing.T, peer *tlsPeer, keys string) *recordPeer {
	t.Helper()
	p := &recordPeer{tlsPeer: peer}
	switch id := p.ConnectionState().CipherSuite; id {
	case tls.TLS_AES_128_GCM_SHA256:
		p.newHash, p.keySize = sha256.New, 16
	case tls.TLS_AES_256_GCM_SHA384:
		p.newHash, p.keySize = sha512.New384, 32
	default:
		t.Skip("the standard library has no " + tls.CipherSuiteName(id))
	}
	for line := range strings.Lines(keys) {
		if fields := strings.Fields(line); fields[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(fields[2])
			require.NoError(t, err)
			p.setSecret(t, secret)
		}
	}
	require.NotNil(t, p.aead)
	return p
}

func (p *recordPeer) setSecret(t *testing.T, secret []byte) {
	t.Helper()
	p.secret, p.seq = secret, 0
	block, err := aes.NewCipher(p.expand(t, "key", p.keySize))
	require.NoError(t, err)
	p.aead, err = cipher.NewGCM(block)
	require.NoError(t, err)
	p.iv = p.expand(t, "iv", p.aead.NonceSize())
}

// expand is HKDF-Expand-Label of RFC 8446, section 7.1, without a context.
func (p *recordPeer) expand(t *testing.T, label string, size int) []byte {
	t.Helper()
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(append(info, byte(len(label))), label...)
	key, err := hkdf.Expand(p.newHash, p.secret, string(append(info, 0)), size)
	require.NoError(t, err)
	return key
}

const (
	recordAlert     = 21
	recordHandshake = 22
	recordData      = 23
)

// record returns the next record.
func (p *recordPeer) record(kind byte, data []byte) []byte {
	inner := append(bytes.Clone(data), kind)
	header := binary.BigEndian.AppendUint16([]byte{recordData, 3, 3}, uint16(len(inner)+p.aead.Overhead()))
	nonce := bytes.Clone(p.iv)
	for i := range 8 {
		nonce[len(nonce)-1-i] ^= byte(p.seq >> (8 * i))
	}
	p.seq++
	return p.aead.Seal(header, nonce, inner, header)
}

// keyUpdate returns a record that announces another key for the next one, and
// may ask the session to do the same.
func (p *recordPeer) keyUpdate(t *testing.T, ask bool) []byte {
	t.Helper()
	message := []byte{24, 0, 0, 1, 0}
	if ask {
		message[4] = 1
	}
	r := p.record(recordHandshake, message)
	p.setSecret(t, p.expand(t, "traffic upd", len(p.secret)))
	return r
}

// send writes records in one write.
func (p *recordPeer) send(t *testing.T, records ...[]byte) {
	t.Helper()
	_, err := p.wire.Write(bytes.Join(records, nil))
	require.NoError(t, err)
}

// seal returns the records that p would send in f, without sending them.
func (p *tlsPeer) seal(f func()) *bytes.Buffer {
	conn := p.wire.Conn
	defer func() { p.wire.Conn = conn }()
	sealed := new(bytes.Buffer)
	p.wire.Conn = captured{conn, sealed}
	f()
	return sealed
}

// captured is a connection that sends nothing.
type captured struct {
	net.Conn
	into *bytes.Buffer
}

func (c captured) Write(p []byte) (int, error) { return c.into.Write(p) }

// mute is a connection that reads nothing.
type mute struct{ net.Conn }

func (mute) Read([]byte) (int, error) { return 0, io.EOF }
