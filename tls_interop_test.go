package chanio_test

import (
	"context"
	"crypto/tls"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// tlsVersions are the versions that this project supports, as openssl and
// GnuTLS call them.
var tlsVersions = []struct {
	version         uint16
	openssl, gnutls string
}{
	{tls.VersionTLS12, "-tls1_2", "NORMAL:-VERS-ALL:+VERS-TLS1.2"},
	{tls.VersionTLS13, "-tls1_3", "NORMAL:-VERS-ALL:+VERS-TLS1.3"},
}

// eachVersion runs f for each version, with and without a client certificate.
func eachVersion(t *testing.T, f func(t *testing.T, version uint16, openssl, gnutls string, mutual bool)) {
	for _, v := range tlsVersions {
		for _, mutual := range []bool{false, true} {
			name := tls.VersionName(v.version)
			if mutual {
				name += " with a client certificate"
			}
			t.Run(name, func(t *testing.T) { f(t, v.version, v.openssl, v.gnutls, mutual) })
		}
	}
}

// serveChat serves TLS to a program.
func serveChat(t *testing.T, mutual bool) *chanio.Listener {
	t.Helper()
	config, err := chanio.ServerTLS("testdata/server.crt", "testdata/server.key")
	if mutual {
		config, err = chanio.MutualServerTLS("testdata/server.crt", "testdata/server.key", "testdata/ca.crt")
	}
	require.NoError(t, err)
	config.NextProtos = []string{"chat"}
	return listenTCP(t, &chanio.Options{TLS: config})
}

// requireState checks what was negotiated with a program's client.
func requireState(t *testing.T, s *chanio.Session, version uint16, mutual bool) {
	t.Helper()
	state, ok := s.TLS()
	require.True(t, ok)
	require.Equal(t, version, state.Version)
	require.Equal(t, "chat", state.NegotiatedProtocol)
	if mutual {
		require.Equal(t, "client.example.com", state.PeerCertificates[0].Subject.CommonName)
	} else {
		require.Empty(t, state.PeerCertificates)
	}
}

func TestOpenSSLsClientIsServed(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16, openssl, _ string, mutual bool) {
		l := serveChat(t, mutual)
		args := []string{"s_client", "-connect", l.Addr().String(), openssl, "-CAfile", "testdata/ca.crt",
			"-verify_return_error", "-verify_ip", "127.0.0.1", "-servername", "localhost", "-alpn", "other,chat"}
		if mutual {
			args = append(args, "-cert", "testdata/client.crt", "-key", "testdata/client.key")
		}
		p := startProgram(t, "openssl", args...)
		p.expect("ALPN protocol: chat")
		p.expect("Verify return code: 0 (ok)")
		s, _ := await(t, l.Sessions(), "a session")
		requireState(t, s, version, mutual)
		go sendBack(s)
		p.say("hello")
		p.expect("hello\n")
		if version == tls.VersionTLS13 {
			p.say("K") // a key update that asks for another one
			p.expect("KEYUPDATE")
			p.say("more")
			p.expect("more\n")
			p.say("k") // and one that does not
			p.expect("KEYUPDATE")
			p.say("again")
			p.expect("again\n")
		}
		p.say("Q")
		awaitDone(t, s)
		require.NoError(t, s.Err())
		awaitDone(t, p)
	})
}

func TestOpenSSLsClientSeesTheEnd(t *testing.T) {
	l := serveChat(t, false)
	p := startProgram(t, "openssl", "s_client", "-connect", l.Addr().String(), "-quiet", "-verify_quiet", "-CAfile", "testdata/ca.crt")
	s, _ := await(t, l.Sessions(), "a session")
	require.NoError(t, s.Put([]byte("the last words\n")))
	require.NoError(t, s.Close())
	p.expect("the last words\n")
	awaitDone(t, p)
}

func TestOpenSSLsClientResumes(t *testing.T) {
	for _, v := range tlsVersions {
		t.Run(tls.VersionName(v.version), func(t *testing.T) {
			l := serveChat(t, false)
			ticket := filepath.Join(t.TempDir(), "ticket")
			for _, test := range []struct{ option, says string }{{"-sess_out", "New, "}, {"-sess_in", "Reused, "}} {
				p := startProgram(t, "openssl", "s_client", "-connect", l.Addr().String(), v.openssl, test.option, ticket)
				p.expect(test.says)
				s, _ := await(t, l.Sessions(), "a session")
				state, _ := s.TLS()
				require.Equal(t, test.option == "-sess_in", state.DidResume)
				go sendBack(s)
				p.say("after the ticket")
				p.expect("after the ticket\n")
				p.say("Q")
				awaitDone(t, p)
			}
		})
	}
}

func TestOpenSSLsClientThatIsRefusedIsAnEvent(t *testing.T) {
	for _, v := range tlsVersions {
		for _, test := range []struct {
			name   string
			mutual bool
			args   []string
			says   string
		}{
			{"a client without a certificate", true, nil, "client didn't provide a certificate"},
			{"a client with a server's certificate", true, []string{"-cert", "testdata/server.crt", "-key", "testdata/server.key"}, "incompatible key usage"},
			// The client's alert is recognized as one only under TLS 1.2: under 1.3
			// it has the wrong keys.
			{"a client that trusts another CA", false, []string{"-CAfile", "testdata/client.crt", "-verify_return_error"}, "error: tls: "},
			{"a client with another protocol", false, []string{"-alpn", "other"}, "unsupported application protocols"},
		} {
			t.Run(tls.VersionName(v.version)+"/"+test.name, func(t *testing.T) {
				l := serveChat(t, test.mutual)
				p := startProgram(t, "openssl", append([]string{"s_client", "-connect", l.Addr().String(), v.openssl}, test.args...)...)
				e := tlsEvent(t, l.Events(), chanio.EventFailed)
				require.ErrorContains(t, e.Err, "chanio: handshake tcp "+l.Addr().String())
				require.ErrorContains(t, e.Err, test.says)
				awaitDone(t, p)
			})
		}
	}
}

// startOpenSSL starts an openssl server, and returns its address.
func startOpenSSL(t *testing.T, args ...string) (*program, string) {
	t.Helper()
	p := startProgram(t, "openssl", append([]string{"s_server", "-accept", "127.0.0.1:0",
		"-cert", "testdata/server.crt", "-key", "testdata/server.key"}, args...)...)
	p.expect("ACCEPT ")
	return p, strings.TrimSpace(p.expect("\n"))
}

func TestOpenSSLsServerIsSpokenTo(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16, openssl, _ string, mutual bool) {
		config, err := chanio.ClientTLS("testdata/ca.crt")
		args := []string{openssl, "-alpn", "chat", "-naccept", "1"}
		if mutual {
			config, err = chanio.MutualClientTLS("testdata/ca.crt", "testdata/client.crt", "testdata/client.key")
			args = append(args, "-Verify", "1", "-verify_return_error", "-CAfile", "testdata/ca.crt")
		}
		require.NoError(t, err)
		config.NextProtos = []string{"other", "chat"}
		p, addr := startOpenSSL(t, args...)
		s, err := chanio.Dial(context.Background(), "tcp", addr, &chanio.Options{TLS: config})
		require.NoError(t, err)
		defer func() { s.Abort(nil); awaitDone(t, s) }()
		state, _ := s.TLS()
		require.Equal(t, version, state.Version)
		require.Equal(t, "chat", state.NegotiatedProtocol)

		require.NoError(t, s.Put([]byte("question\n")))
		p.expect("question\n")
		p.say("answer")
		require.Equal(t, "answer\n", string(receiveN(t, s, 7)))
		if version == tls.VersionTLS13 {
			p.say("K")
			p.expect("SSL_do_handshake -> 1")
			p.say("another")
			require.Equal(t, "another\n", string(receiveN(t, s, 8)))
			require.NoError(t, s.Put([]byte("with other keys\n")))
			p.expect("with other keys\n")
		}
		require.NoError(t, s.CloseWrite())
		p.expect("DONE")
		require.Empty(t, receiveAll(s))
		awaitDone(t, s)
		require.NoError(t, s.Err())
	})
}

func TestSessionsWithOpenSSLsServerResume(t *testing.T) {
	for _, v := range tlsVersions {
		t.Run(tls.VersionName(v.version), func(t *testing.T) {
			config, err := chanio.ClientTLS("testdata/ca.crt")
			require.NoError(t, err)
			config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
			_, addr := startOpenSSL(t, v.openssl, "-rev", "-naccept", "2")
			for i := range 2 {
				s, err := chanio.Dial(context.Background(), "tcp", addr, &chanio.Options{TLS: config})
				require.NoError(t, err)
				state, _ := s.TLS()
				require.Equal(t, i == 1, state.DidResume)
				require.NoError(t, s.Put([]byte("abc\n")))
				require.Equal(t, "cba\n", string(receiveN(t, s, 4)))
				require.NoError(t, s.CloseWrite())
				awaitDone(t, s)
			}
		})
	}
}

func TestARenegotiationMustBeAllowed(t *testing.T) {
	for _, test := range []struct {
		name    string
		support tls.RenegotiationSupport
	}{{"allowed", tls.RenegotiateFreelyAsClient}, {"not allowed", tls.RenegotiateNever}} {
		t.Run(test.name, func(t *testing.T) {
			config, err := chanio.ClientTLS("testdata/ca.crt")
			require.NoError(t, err)
			config.Renegotiation = test.support
			shaking := shakings(config)
			p, addr := startOpenSSL(t, "-tls1_2", "-naccept", "1")
			s, err := chanio.Dial(context.Background(), "tcp", addr, &chanio.Options{TLS: config})
			require.NoError(t, err)
			defer func() { s.Abort(nil); awaitDone(t, s) }()
			await(t, shaking, "the handshake")
			require.NoError(t, s.Put([]byte("before\n")))
			p.expect("before\n")
			p.say("r")
			if test.support == tls.RenegotiateNever {
				require.Empty(t, receiveAll(s))
				require.ErrorContains(t, s.Err(), "no renegotiation")
				return
			}
			await(t, shaking, "the renegotiation")
			p.say("after it")
			require.Equal(t, "after it\n", string(receiveN(t, s, 9)))
			require.NoError(t, s.Put([]byte("and so it goes on\n")))
			p.expect("and so it goes on\n")
		})
	}
}

// shakings sends a value when a full handshake of TLS 1.2 under config is half
// done. A server that writes before that completes it first.
func shakings(config *tls.Config) <-chan struct{} {
	shaking := make(logOfKeys, 1)
	config.KeyLogWriter = shaking
	return shaking
}

type logOfKeys chan struct{}

func (l logOfKeys) Write(p []byte) (int, error) {
	l <- struct{}{}
	return len(p), nil
}

func TestARenegotiationDuringWritesBlocksNothing(t *testing.T) {
	config, err := chanio.ClientTLS("testdata/ca.crt")
	require.NoError(t, err)
	config.Renegotiation = tls.RenegotiateFreelyAsClient
	shaking := shakings(config)
	p, addr := startOpenSSL(t, "-tls1_2", "-naccept", "1")
	s, err := chanio.Dial(context.Background(), "tcp", addr, &chanio.Options{TLS: config})
	require.NoError(t, err)
	defer func() { s.Abort(nil); awaitDone(t, s) }()
	enough := make(chan struct{})
	var writing sync.WaitGroup
	defer writing.Wait()
	writing.Go(func() {
		for s.Put([]byte{'.'}) == nil { // not much, or the program waits for us to read its output
			select {
			case <-enough:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	await(t, shaking, "the handshake")
	for range 5 {
		p.say("r")
		select {
		case <-shaking:
		case <-s.Done():
			require.NoError(t, s.Err())
		}
		p.say("after it")
		require.Equal(t, "after it\n", string(receiveN(t, s, 9)))
	}
	close(enough)
	writing.Wait()
	require.NoError(t, s.Put([]byte("the last\n")))
	p.expect("the last\n")
	require.NoError(t, s.Err())
}

func TestGnuTLSsClientIsServed(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16, _, gnutls string, mutual bool) {
		l := serveChat(t, mutual)
		host, port, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		args := []string{"--inline-commands", "--x509cafile", "testdata/ca.crt", "--priority", gnutls, "--alpn", "chat", "--port", port}
		if mutual {
			args = append(args, "--x509certfile", "testdata/client.crt", "--x509keyfile", "testdata/client.key")
		}
		p := startProgram(t, "gnutls-cli", append(args, host)...)
		p.expect("The certificate is trusted")
		p.expect("Application protocol: chat")
		s, _ := await(t, l.Sessions(), "a session")
		requireState(t, s, version, mutual)
		go sendBack(s)
		p.expect("Simple Client Mode")
		p.say("hello")
		p.expect("hello\n")
		if version == tls.VersionTLS13 {
			p.say("^rekey^")
			p.expect("Rekey was completed")
			p.say("more")
			p.expect("more\n")
		}
		require.NoError(t, p.in.Close())
		awaitDone(t, s)
		require.NoError(t, s.Err())
		awaitDone(t, p)
	})
}
