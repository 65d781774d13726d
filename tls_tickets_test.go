package chanio_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// resumes dials l, and reports whether that has resumed a session in the client's
// cache. The next dial may resume this one.
func resumes(t *testing.T, l *chanio.Listener, client *tls.Config) bool {
	t.Helper()
	s := dialTLS(t, l, client)
	requireEcho(t, s, "a ticket comes with the answer, or before it")
	state, _ := s.TLS()
	s.Close()
	return state.DidResume
}

// ticketServers are the ways to give a listener its config.
var ticketServers = []struct {
	name string
	wrap func(config *tls.Config) *tls.Config
}{
	{"the config itself", func(config *tls.Config) *tls.Config { return config }},
	{"GetConfigForClient", func(config *tls.Config) *tls.Config {
		chosen := config.Clone()
		config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return chosen, nil }
		return config
	}},
}

func TestListenersWithOneConfigResumeEachOthersSessions(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, way := range ticketServers {
			t.Run(tls.VersionName(version)+"/"+way.name, func(t *testing.T) {
				server, client := testTLS(t)
				server = way.wrap(server)
				client.ServerName = "localhost" // the cache's key
				client.MaxVersion = version
				client.ClientSessionCache = tls.NewLRUClientSessionCache(0)
				first, second := listenTCP(t, &chanio.Options{TLS: server}), listenTCP(t, &chanio.Options{TLS: server})
				serveEcho(t, first)
				serveEcho(t, second)
				require.False(t, resumes(t, first, client))
				require.True(t, resumes(t, second, client))
				require.True(t, resumes(t, first, client))
			})
		}
	}
}

func TestTicketKeysThatAreSetWhileAListenerRunsHold(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, way := range ticketServers {
			t.Run(tls.VersionName(version)+"/"+way.name, func(t *testing.T) {
				server, client := testTLS(t)
				server = way.wrap(server)
				client.MaxVersion = version
				client.ClientSessionCache = tls.NewLRUClientSessionCache(0)
				l := listenTCP(t, &chanio.Options{TLS: server})
				serveEcho(t, l)
				old, next := [32]byte{1}, [32]byte{2}
				server.SetSessionTicketKeys([][32]byte{old})
				require.False(t, resumes(t, l, client))
				require.True(t, resumes(t, l, client))
				server.SetSessionTicketKeys([][32]byte{next, old})
				require.True(t, resumes(t, l, client), "the old key is still good")
				server.SetSessionTicketKeys([][32]byte{{3}})
				require.False(t, resumes(t, l, client), "both keys were withdrawn")
			})
		}
	}
}

func TestAClientThatSkipsVerificationStillSendsTheServerName(t *testing.T) {
	server, _ := testTLS(t)
	names := make(chan string, 10)
	pair := server.Certificates[0]
	server.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		names <- hello.ServerName
		return &tls.Config{Certificates: []tls.Certificate{pair}}, nil
	}
	l := listenTCP(t, &chanio.Options{TLS: server})
	serveEcho(t, l)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	address := net.JoinHostPort("localhost", port)
	wrong := errors.New("wrong host")
	verify := func(host string) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(cs tls.ConnectionState) error {
			if cs.ServerName != host {
				return wrong
			}
			return cs.PeerCertificates[0].VerifyHostname(cs.ServerName)
		}}
	}
	t.Run("Dial", func(t *testing.T) {
		s, err := chanio.Dial(t.Context(), "tcp", address, &chanio.Options{TLS: verify("localhost")})
		require.NoError(t, err)
		require.Equal(t, "localhost", <-names)
		s.Close()
		_, err = chanio.Dial(t.Context(), "tcp", address, &chanio.Options{TLS: verify("other")})
		require.ErrorIs(t, err, wrong)
		<-names
	})
	t.Run("Connect", func(t *testing.T) {
		c := chanio.Connect(t.Context(), "tcp", address, &chanio.Options{TLS: verify("localhost")})
		defer c.Close()
		await(t, c.Sessions(), "a session")
		require.Equal(t, "localhost", <-names)
	})
	t.Run("ServerName", func(t *testing.T) {
		config := verify("example.com")
		config.ServerName = "example.com"
		_, err := chanio.Dial(t.Context(), "tcp", address, &chanio.Options{TLS: config})
		require.ErrorContains(t, err, "example.com", "the certificate is for localhost")
		require.Equal(t, "example.com", <-names)
	})
}

// echConfig returns an ECHConfig (draft-ietf-tls-esni-22, 4) for key, of X25519
// and AES-128-GCM, and a list with it alone.
func echConfig(key *ecdh.PrivateKey, publicName string) (config, list []byte) {
	u16 := binary.BigEndian.AppendUint16
	public := key.PublicKey().Bytes()
	contents := []byte{1}            // config_id
	contents = u16(contents, 0x0020) // DHKEM(X25519, HKDF-SHA256)
	contents = u16(contents, uint16(len(public)))
	contents = append(contents, public...)
	contents = u16(contents, 4)
	contents = u16(contents, 1) // HKDF-SHA256
	contents = u16(contents, 1) // AES-128-GCM
	contents = append(contents, 32, byte(len(publicName)))
	contents = append(contents, publicName...)
	contents = u16(contents, 0) // extensions
	config = u16(nil, 0xfe0d)
	config = u16(config, uint16(len(contents)))
	config = append(config, contents...)
	return config, append(u16(nil, uint16(len(config))), config...)
}

func TestAClientMayEncryptItsHello(t *testing.T) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	config, list := echConfig(key, "public.example")
	server, client := testTLS(t)
	server.EncryptedClientHelloKeys = []tls.EncryptedClientHelloKey{{Config: config, PrivateKey: key.Bytes()}}
	l := listenTCP(t, &chanio.Options{TLS: server})
	serveEcho(t, l)
	client.MinVersion = tls.VersionTLS12 // as ClientTLS sets
	client.ServerName = "localhost"
	client.EncryptedClientHelloConfigList = list
	s := dialTLS(t, l, client)
	requireEcho(t, s, "hello")
	state, _ := s.TLS()
	require.True(t, state.ECHAccepted)
}
