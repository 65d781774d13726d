package chanio_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// tlsEvent returns the next event of a kind.
func tlsEvent(t testing.TB, events <-chan chanio.Event, kind chanio.EventKind) chanio.Event {
	t.Helper()
	for {
		e, ok := await(t, events, kind.String())
		require.True(t, ok, "events have ended before one of %v", kind)
		if e.Kind == kind {
			return e
		}
	}
}

// kindsUntil returns the kinds of the events up to the first of kind last.
func kindsUntil(t testing.TB, events <-chan chanio.Event, last chanio.EventKind) (kinds []chanio.EventKind) {
	t.Helper()
	for {
		e, ok := await(t, events, last.String())
		require.True(t, ok, "events have ended before one of %v", last)
		kinds = append(kinds, e.Kind)
		if e.Kind == last {
			return kinds
		}
	}
}

// serveEcho echoes on every session of l.
func serveEcho(t testing.TB, l *chanio.Listener) {
	var handlers sync.WaitGroup
	handlers.Go(func() {
		for s := range l.Sessions() {
			handlers.Go(func() { sendBack(s) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		handlers.Wait()
	})
}

// dialTLS dials a session that ends with the test.
func dialTLS(t testing.TB, l *chanio.Listener, config *tls.Config) *chanio.Session {
	t.Helper()
	s, err := chanio.Dial(context.Background(), l.Addr().Network(), l.Addr().String(), &chanio.Options{TLS: config})
	require.NoError(t, err)
	t.Cleanup(func() { s.Abort(nil); awaitDone(t, s) })
	return s
}

// requireEcho checks that text comes back.
func requireEcho(t testing.TB, s *chanio.Session, text string) {
	t.Helper()
	require.NoError(t, s.Put([]byte(text)))
	for got := ""; got != text; {
		m, ok := await(t, s.Recv(), "an echo")
		require.True(t, ok, "%v", s.Err())
		got += string(m)
	}
}

// serialOf returns the serial number of the certificate that s's peer
// presented.
func serialOf(t testing.TB, s *chanio.Session) int64 {
	t.Helper()
	state, ok := s.TLS()
	require.True(t, ok)
	require.NotEmpty(t, state.PeerCertificates)
	return state.PeerCertificates[0].SerialNumber.Int64()
}

// awaitSerial waits until now, which shakes hands, returns the serial number next
// instead of old, and requires that it stays: a handshake does not wait longer
// than reloadPatience for the new one.
func awaitSerial(t testing.TB, old, next int64, now func() int64) {
	t.Helper()
	for began := time.Now(); ; {
		got := now()
		if got == next {
			break
		}
		require.Equal(t, old, got)
		require.Less(t, time.Since(began), patience, "waited too long for number %d", next)
	}
	require.Equal(t, next, now())
}

func TestConfigsFromFilesSpeakWithEachOther(t *testing.T) {
	const ca, clientCert, clientKey = "testdata/ca.crt", "testdata/client.crt", "testdata/client.key"
	server := func() (*tls.Config, error) { return chanio.ServerTLS("testdata/server.crt", "testdata/server.key") }
	mutual := func() (*tls.Config, error) {
		return chanio.MutualServerTLS("testdata/server.crt", "testdata/server.key", ca)
	}
	for _, test := range []struct {
		name           string
		server, client func() (*tls.Config, error)
		clientName     string
	}{
		{"one-sided", server, func() (*tls.Config, error) { return chanio.ClientTLS(ca) }, ""},
		{"mutual", mutual, func() (*tls.Config, error) { return chanio.MutualClientTLS(ca, clientCert, clientKey) }, "client.example.com"},
		{"a certificate that was not asked for", server, func() (*tls.Config, error) { return chanio.MutualClientTLS(ca, clientCert, clientKey) }, ""},
		{"certificate and key in one file", func() (*tls.Config, error) {
			return chanio.ServerTLS("testdata/server.pem", "testdata/server.pem")
		}, func() (*tls.Config, error) { return chanio.ClientTLS("testdata/ca.pem") }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			serverConfig, err := test.server()
			require.NoError(t, err)
			clientConfig, err := test.client()
			require.NoError(t, err)
			s, c := tlsPair(t, chanio.Options{}, serverConfig, clientConfig)
			go sendBack(s)
			requireEcho(t, c, "hello")

			state, ok := c.TLS()
			require.True(t, ok)
			require.True(t, state.HandshakeComplete)
			require.Equal(t, "server.example.com", state.PeerCertificates[0].Subject.CommonName)
			state, ok = s.TLS()
			require.True(t, ok)
			if test.clientName == "" {
				require.Empty(t, state.PeerCertificates)
			} else {
				require.Equal(t, test.clientName, state.PeerCertificates[0].Subject.CommonName)
				require.NotEmpty(t, state.VerifiedChains)
			}
		})
	}
}

func TestConfigsFromFilesWeakenNoDefault(t *testing.T) {
	server, err := chanio.ServerTLS("testdata/server.crt", "testdata/server.key")
	require.NoError(t, err)
	require.NotNil(t, server.GetCertificate)
	server.GetCertificate = nil
	require.Equal(t, &tls.Config{MinVersion: tls.VersionTLS12}, server)

	client, err := chanio.ClientTLS("testdata/ca.crt")
	require.NoError(t, err)
	require.NotNil(t, client.RootCAs)
	client.RootCAs = nil
	require.Equal(t, &tls.Config{MinVersion: tls.VersionTLS12}, client)
}

func TestConfigErrorsNameTheFile(t *testing.T) {
	const crt, key, ca = "testdata/server.crt", "testdata/server.key", "testdata/ca.crt"
	dir := t.TempDir()
	missing, empty := filepath.Join(dir, "missing"), filepath.Join(dir, "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, test := range []struct {
		name string
		make func() (*tls.Config, error)
		file string
		says string
	}{
		{"server without certificate", func() (*tls.Config, error) { return chanio.ServerTLS(missing, key) }, missing, syscall.ENOENT.Error()},
		{"server without key", func() (*tls.Config, error) { return chanio.ServerTLS(crt, missing) }, missing, syscall.ENOENT.Error()},
		{"server with an empty certificate", func() (*tls.Config, error) { return chanio.ServerTLS(empty, key) }, empty, "certificate"},
		{"server with an empty key", func() (*tls.Config, error) { return chanio.ServerTLS(crt, empty) }, empty, "key"},
		{"server with another's key", func() (*tls.Config, error) { return chanio.ServerTLS(crt, "testdata/client.key") }, "testdata/client.key", "does not match"},
		{"server with an encrypted key", func() (*tls.Config, error) { return chanio.ServerTLS(crt, "testdata/server.enc.key") }, "testdata/server.enc.key", "key"},
		{"server with files swapped", func() (*tls.Config, error) { return chanio.ServerTLS(key, crt) }, key, "certificate"},
		{"client without CA", func() (*tls.Config, error) { return chanio.ClientTLS(missing) }, missing, syscall.ENOENT.Error()},
		{"client with an empty CA", func() (*tls.Config, error) { return chanio.ClientTLS(empty) }, empty, "no PEM certificate"},
		{"client with no name for its CA", func() (*tls.Config, error) { return chanio.ClientTLS("") }, "", syscall.ENOENT.Error()},
		{"mutual server without certificate", func() (*tls.Config, error) { return chanio.MutualServerTLS(missing, key, ca) }, missing, syscall.ENOENT.Error()},
		{"mutual server without CA", func() (*tls.Config, error) { return chanio.MutualServerTLS(crt, key, missing) }, missing, syscall.ENOENT.Error()},
		{"mutual client without CA", func() (*tls.Config, error) { return chanio.MutualClientTLS(missing, crt, key) }, missing, syscall.ENOENT.Error()},
		{"mutual client without key", func() (*tls.Config, error) { return chanio.MutualClientTLS(ca, crt, missing) }, missing, syscall.ENOENT.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, err := test.make()
			require.Nil(t, config)
			require.ErrorContains(t, err, "chanio: ")
			require.ErrorContains(t, err, test.file)
			require.ErrorContains(t, err, test.says)
		})
	}
}

func TestAChangedCertificateIsServedWithoutARestart(t *testing.T) {
	ca := newAuthority(t, "ca")
	certFile, keyFile := pairFilesIn(t.TempDir())
	savePair(t, ca.issue(t, 1, nil), certFile, keyFile)
	config, err := chanio.ServerTLS(certFile, keyFile)
	require.NoError(t, err)
	l := listenTCP(t, &chanio.Options{TLS: config})
	serveEcho(t, l)
	client := &tls.Config{RootCAs: ca.pool}

	old := dialTLS(t, l, client)
	require.EqualValues(t, 1, serialOf(t, old))
	savePair(t, ca.issue(t, 2, nil), certFile, keyFile)
	awaitSerial(t, 1, 2, func() int64 { return serialOf(t, dialTLS(t, l, client)) })
	require.EqualValues(t, 1, serialOf(t, old), "running sessions keep theirs")
	requireEcho(t, old, "and go on")
}

func TestABrokenNewCertificateKeepsTheOldOneAndIsOneEvent(t *testing.T) {
	ca := newAuthority(t, "ca")
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, certFile, keyFile string)
		says  string
	}{
		{"a certificate that is none", func(t *testing.T, certFile, _ string) { replaceFile(t, certFile, []byte("nonsense")) }, "PEM"},
		{"no certificate", func(t *testing.T, certFile, _ string) { require.NoError(t, os.Remove(certFile)) }, syscall.ENOENT.Error()},
		{"no key", func(t *testing.T, _, keyFile string) { require.NoError(t, os.Remove(keyFile)) }, syscall.ENOENT.Error()},
		{"a certificate whose key is not there yet", func(t *testing.T, certFile, _ string) {
			saveCert(t, ca.issue(t, 2, nil), certFile)
		}, "does not match"},
	} {
		t.Run(test.name, func(t *testing.T) {
			certFile, keyFile := pairFilesIn(t.TempDir())
			savePair(t, ca.issue(t, 1, nil), certFile, keyFile)
			config, err := chanio.ServerTLS(certFile, keyFile)
			require.NoError(t, err)
			l := listenTCP(t, &chanio.Options{TLS: config})
			serveEcho(t, l)
			client := &tls.Config{RootCAs: ca.pool}
			dialTLS(t, l, client)

			test.spoil(t, certFile, keyFile)
			failed := make(chan error, 1)
			go func() {
				for e := range l.Events() {
					if e.Kind == chanio.EventFailed {
						failed <- e.Err
						return
					}
				}
			}()
			for began := time.Now(); len(failed) == 0 && time.Since(began) < patience; {
				require.EqualValues(t, 1, serialOf(t, dialTLS(t, l, client)), "the old one stays")
			}
			failure, _ := await(t, failed, "the event")
			failures := []error{failure}
			for range 3 {
				require.EqualValues(t, 1, serialOf(t, dialTLS(t, l, client)), "the old one stays")
			}
			savePair(t, ca.issue(t, 3, nil), certFile, keyFile)
			// The next change mends it.
			awaitSerial(t, 1, 3, func() int64 { return serialOf(t, dialTLS(t, l, client)) })

			l.Close()
			for e := range l.Events() {
				if e.Kind == chanio.EventFailed {
					failures = append(failures, e.Err)
				}
			}
			require.Len(t, failures, 1, "one event a change, not one a handshake")
			require.ErrorContains(t, failures[0], "chanio: ")
			require.ErrorContains(t, failures[0], certFile)
			require.ErrorContains(t, failures[0], keyFile)
			require.ErrorContains(t, failures[0], test.says)
		})
	}
}

func TestAClientsNewCertificateIsUsedFromTheNextHandshakeOn(t *testing.T) {
	ca := newAuthority(t, "ca")
	certFile, keyFile := pairFilesIn(t.TempDir())
	caFile := filepath.Join(t.TempDir(), "ca.crt")
	saveCert(t, tls.Certificate{Certificate: [][]byte{ca.cert.Raw}}, caFile)
	savePair(t, ca.issue(t, 1, nil), certFile, keyFile)
	config, err := chanio.MutualClientTLS(caFile, certFile, keyFile)
	require.NoError(t, err)

	l := listenTCP(t, &chanio.Options{TLS: &tls.Config{
		Certificates: []tls.Certificate{ca.issue(t, 9, nil)},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    ca.pool,
	}})
	c := chanio.Connect(context.Background(), "tcp", l.Addr().String(), &chanio.Options{TLS: config, Backoff: chanio.Backoff{Min: -1}})
	defer c.Close()
	var last *chanio.Session // the client's
	reconnect := func() int64 {
		if last != nil {
			last.Abort(nil)
		}
		last, _ = await(t, c.Sessions(), "the client's session")
		s, _ := await(t, l.Sessions(), "the server's session")
		return serialOf(t, s)
	}

	require.EqualValues(t, 1, reconnect())
	savePair(t, ca.issue(t, 2, nil), certFile, keyFile)
	awaitSerial(t, 1, 2, reconnect)
	require.NoError(t, os.WriteFile(keyFile, nil, 0o600))
	require.EqualValues(t, 2, reconnect())
	e := tlsEvent(t, c.Events(), chanio.EventFailed)
	require.ErrorContains(t, e.Err, keyFile)
	require.EqualValues(t, 2, reconnect())
	savePair(t, ca.issue(t, 3, nil), certFile, keyFile)
	awaitSerial(t, 2, 3, reconnect)
	c.Close()
	for e := range c.Events() {
		require.NotEqual(t, chanio.EventFailed, e.Kind, "%v", e.Err)
	}
}

func TestAFailedReloadIsReportedByTheFirstHandshakeWithEvents(t *testing.T) {
	ca := newAuthority(t, "ca")
	certFile, keyFile := pairFilesIn(t.TempDir())
	savePair(t, ca.issue(t, 1, nil), certFile, keyFile)
	pair, err := chanio.LoadKeyPair(certFile, keyFile)
	require.NoError(t, err)
	require.NoError(t, os.Remove(keyFile))

	require.NotNil(t, pair.Current(t.Context()), "a handshake of Dial")
	q := queueOf(t, nil)
	ctx := chanio.WithEvents(t.Context(), q)
	for began := time.Now(); len(q.Channel()) == 0 && time.Since(began) < patience; {
		require.NotNil(t, pair.Current(ctx)) // the reading may take longer than a handshake waits
	}
	require.NotNil(t, pair.Current(ctx))
	e, _ := await(t, q.Channel(), "the event")
	require.Equal(t, chanio.EventFailed, e.Kind)
	require.ErrorContains(t, e.Err, keyFile)
	require.Empty(t, q.Channel())
}

func TestAReloadIsReadOnceHoweverManyShakeHands(t *testing.T) {
	ca := newAuthority(t, "ca")
	certFile, keyFile := pairFilesIn(t.TempDir())
	savePair(t, ca.issue(t, 1, nil), certFile, keyFile)
	pair, err := chanio.LoadKeyPair(certFile, keyFile)
	require.NoError(t, err)
	for serial := int64(2); serial < 10; serial++ {
		savePair(t, ca.issue(t, serial, nil), certFile, keyFile)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				got := pair.Current(context.Background()).Leaf.SerialNumber.Int64()
				assert.Contains(t, []int64{serial - 1, serial}, got, "the one from before, while another handshake reads")
			})
		}
		wg.Wait()
		awaitSerial(t, serial-1, serial, func() int64 { return serialNow(t, pair) })
		require.Same(t, pair.Current(t.Context()), pair.Current(t.Context()))
	}
}

func TestAClientSendsNoCertificateTheServerWouldReject(t *testing.T) {
	ca := newAuthority(t, "ca")
	other := newAuthority(t, "other")
	certFile, keyFile := pairFilesIn(t.TempDir())
	savePair(t, other.issue(t, 1, nil), certFile, keyFile)
	pair, err := chanio.LoadKeyPair(certFile, keyFile)
	require.NoError(t, err)
	server := &tls.Config{
		Certificates: []tls.Certificate{ca.issue(t, 9, nil)},
		ClientAuth:   tls.VerifyClientCertIfGiven,
		ClientCAs:    ca.pool,
	}
	s, _ := tlsPair(t, chanio.Options{}, server, &tls.Config{RootCAs: ca.pool, GetClientCertificate: pair.ForClient})
	state, _ := s.TLS()
	require.Empty(t, state.PeerCertificates)
}

func TestTLS12IsTheFloor(t *testing.T) {
	serverConfig, clientConfig := testTLS(t)
	low := serverConfig.Clone()
	low.MinVersion = tls.VersionTLS10
	for _, test := range []struct {
		name   string
		server *tls.Config
	}{
		{"MinVersion", low},
		{"GetConfigForClient", &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return low, nil
		}}},
	} {
		for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(fmt.Sprintf("%s/%s", test.name, tls.VersionName(version)), func(t *testing.T) {
				l := listenTCP(t, &chanio.Options{TLS: test.server})
				serveEcho(t, l)
				client := clientConfig.Clone()
				client.ServerName = "localhost"
				client.MinVersion, client.MaxVersion = version, version
				conn, err := tls.Dial("tcp", l.Addr().String(), client)
				if version >= tls.VersionTLS12 {
					require.NoError(t, err)
					conn.Close()
					return
				}
				require.Error(t, err)
				require.ErrorContains(t, tlsEvent(t, l.Events(), chanio.EventFailed).Err, "version")
			})
		}
	}
	require.EqualValues(t, tls.VersionTLS10, low.MinVersion, "the user's config is not modified")
}

func TestAServerNeedsACertificate(t *testing.T) {
	_, err := chanio.Listen(t.Context(), "tcp", "127.0.0.1:0", &chanio.Options{TLS: &tls.Config{}})
	require.ErrorContains(t, err, "chanio: option TLS")
	ln := newMemListener()
	l := chanio.Serve(t.Context(), ln, &chanio.Options{TLS: &tls.Config{RootCAs: x509.NewCertPool()}})
	awaitDone(t, l)
	require.ErrorContains(t, l.Err(), "chanio: option TLS")
}
