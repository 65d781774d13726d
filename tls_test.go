package chanio_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// testTLS returns the configs of a server and a client from testdata.
func testTLS(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair("testdata/server.crt", "testdata/server.key")
	require.NoError(t, err)
	ca, err := os.ReadFile("testdata/ca.crt")
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(ca))
	return &tls.Config{Certificates: []tls.Certificate{pair}}, &tls.Config{RootCAs: pool}
}

// tlsPair returns two sessions that speak TLS with each other.
func tlsPair(t testing.TB, o chanio.Options, serverConfig, clientConfig *tls.Config) (server, client *chanio.Session) {
	t.Helper()
	so, co := o, o
	so.TLS, co.TLS = serverConfig, clientConfig
	l := listenTCP(t, &so)
	client, err := chanio.Dial(context.Background(), "tcp", l.Addr().String(), &co)
	require.NoError(t, err)
	t.Cleanup(func() { client.Abort(nil); <-client.Done() })
	return <-l.Sessions(), client
}

func TestNetConnIsANetConnOverTLS(t *testing.T) {
	server, client := testTLS(t)
	for _, test := range []struct {
		name    string
		version uint16
		o       chanio.Options
	}{
		{"TLS 1.3", tls.VersionTLS13, queues[0].o},
		{"TLS 1.3 and queues of 0", tls.VersionTLS13, queues[1].o},
		{"TLS 1.2 and queues of 1", tls.VersionTLS12, queues[2].o},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := client.Clone()
			client.MaxVersion = test.version
			testNetConn(t, func() (s1, s2 *chanio.Session) { return tlsPair(t, test.o, server, client) })
		})
	}
	t.Run("given", func(t *testing.T) {
		t.Parallel()
		testNetConn(t, func() (s1, s2 *chanio.Session) {
			a, b := socketPair(t, "tcp")
			client := client.Clone()
			client.ServerName = "localhost"
			return chanio.NewSession(context.Background(), tls.Server(a, server), nil),
				chanio.NewSession(context.Background(), tls.Client(b, client), nil)
		})
	})
}
