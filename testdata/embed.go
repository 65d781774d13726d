// Package testdata is the test certificates, for programs that run from any
// directory. Their private keys are public: trust them nowhere.
package testdata

import (
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
)

var (
	//go:embed ca.crt
	ca []byte
	//go:embed server.crt
	serverCert []byte
	//go:embed server.key
	serverKey []byte
)

// ServerTLS returns the configuration of a server with the test certificate,
// which is for server.example.com, localhost, 127.0.0.1 and ::1.
func ServerTLS() (*tls.Config, error) {
	cert, err := tls.X509KeyPair(serverCert, serverKey)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}

// ClientTLS returns the configuration of a client that trusts the test CA only.
func ClientTLS() (*tls.Config, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("testdata: ca.crt is no certificate")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
