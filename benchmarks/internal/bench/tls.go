package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"time"
)

// ServerTLS returns the config of a server, or nil without TLS. A self-signed
// certificate is new, with a P-256 key.
func (c Config) ServerTLS() (config *tls.Config, err error) {
	if c.Net != TLS {
		return nil, nil
	}
	var cert tls.Certificate
	if c.Cert != "" {
		cert, err = tls.LoadX509KeyPair(c.Cert, c.Key)
	} else {
		cert, err = selfSigned()
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, err
}

// ClientTLS returns the config of clients, or nil without TLS. They accept any
// certificate, so that the server and the records are measured, not the client's
// verification.
func (c Config) ClientTLS() *tls.Config {
	if c.Net != TLS {
		return nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "localhost", InsecureSkipVerify: true}
	if c.Resume {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	return config
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		DNSNames:     []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
