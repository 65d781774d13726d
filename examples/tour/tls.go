package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
)

// configs returns the TLS of a server with the test certificate, and of clients
// that trust its CA.
func configs() (server, client *tls.Config, err error) {
	certificate, err := tls.LoadX509KeyPair("testdata/server.crt", "testdata/server.key")
	if err != nil {
		return nil, nil, err
	}
	ca, err := os.ReadFile("testdata/ca.crt")
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &tls.Config{Certificates: []tls.Certificate{certificate}}, &tls.Config{RootCAs: roots}, nil
}
