package chanio_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTestCertificatesAreGoodForTenYears(t *testing.T) {
	ca, err := os.ReadFile("testdata/ca.crt")
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(ca))

	for _, c := range []struct {
		name  string
		use   x509.ExtKeyUsage
		names []string
	}{
		{"server", x509.ExtKeyUsageServerAuth, []string{"server.example.com", "localhost", "127.0.0.1", "::1"}},
		{"client", x509.ExtKeyUsageClientAuth, []string{"client.example.com"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			pair, err := tls.LoadX509KeyPair("testdata/"+c.name+".crt", "testdata/"+c.name+".key")
			require.NoError(t, err)
			_, err = tls.LoadX509KeyPair("testdata/"+c.name+".pem", "testdata/"+c.name+".pem")
			require.NoError(t, err)
			for _, name := range c.names {
				_, err := pair.Leaf.Verify(x509.VerifyOptions{
					DNSName:   name,
					Roots:     roots,
					KeyUsages: []x509.ExtKeyUsage{c.use},
				})
				require.NoError(t, err, name)
			}
			require.False(t, pair.Leaf.NotAfter.Before(pair.Leaf.NotBefore.AddDate(10, 0, 0)))
		})
	}
}
