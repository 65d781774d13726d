package chanio

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
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
func tlsPair(t testing.TB, o Options, serverConfig, clientConfig *tls.Config) (server, client *Session) {
	t.Helper()
	so, co := o, o
	so.TLS, co.TLS = serverConfig, clientConfig
	l := listenTCP(t, &so)
	client, err := Dial(context.Background(), "tcp", l.Addr().String(), &co)
	require.NoError(t, err)
	t.Cleanup(func() { client.Abort(nil); <-client.Done() })
	return <-l.Sessions(), client
}

func TestNetConnIsANetConnOverTLS(t *testing.T) {
	server, client := testTLS(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, q := range queues {
			t.Run(tls.VersionName(version)+"/"+q.name, func(t *testing.T) {
				client := client.Clone()
				client.MaxVersion = version
				nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
					s1, s2 := tlsPair(t, q.o, server, client)
					return s1.NetConn(), s2.NetConn(), func() {
						s1.Abort(nil)
						s2.Abort(nil)
						<-s1.Done()
						<-s2.Done()
					}, nil
				})
			})
		}
	}
}
