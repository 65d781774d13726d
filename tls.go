package chanio

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
)

// ServerTLS returns a TLS config for a server (see [Options]). Its certificate
// and private key are in PEM files, with the certificate followed by any
// intermediate ones. TLS 1.2 is the minimum; everything else is Go's default,
// and the config may be changed before it is used. Any number of listeners may
// share it.
//
// The files are read now, and again when they change, without a restart: each
// full handshake checks their times and sizes. Running sessions keep their
// certificate, and resumed ones need none. If the new files are unusable, the
// old pair stays in use, and the listener whose handshake noticed emits one
// [EventFailed] that names them. That also happens if only one of the two has
// been written yet; the next change corrects it. Later handshakes retry a
// failed read, with a growing pause, even if the files have not changed. A
// hanging file system delays one handshake by a second and later ones not at
// all.
//
// There is no file of Diffie-Hellman parameters: Go's TLS agrees on keys over
// elliptic curves and ML-KEM only.
//
// Errors name the file.
func ServerTLS(certFile, keyFile string) (*tls.Config, error) {
	pair, err := loadKeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.forServer}, nil
}

// ClientTLS returns a TLS config for a client that trusts only the CAs in the
// PEM file, which is read once. [Dial] and [Connect] verify that the server's
// certificate is for the host they dial, unless ServerName is set in the
// config, as it must be for unix sockets. TLS 1.2 is the minimum; everything
// else is Go's default. Set ClientSessionCache to resume sessions.
//
// Errors name the file.
func ClientTLS(caFile string) (*tls.Config, error) {
	pool, err := loadCAs(caFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}

// MutualServerTLS is [ServerTLS] for a server whose clients must present a
// client authentication certificate from a CA in clientCAFile (PEM), which is
// read once. [Session.TLS] has it in PeerCertificates. A client without one
// fails its handshake, which is an [EventFailed].
func MutualServerTLS(certFile, keyFile, clientCAFile string) (*tls.Config, error) {
	config, err := ServerTLS(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	pool, err := loadCAs(clientCAFile)
	if err != nil {
		return nil, err
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.ClientCAs = pool
	return config, nil
}

// MutualClientTLS is [ClientTLS] for a client that presents the certificate in
// certFile, with its key in keyFile (PEM), to servers that request one from its
// CA. The two files are reread when they change, as those of [ServerTLS] are.
// [Connect]'s client emits the events; Dial has none and silently keeps using
// the old pair.
//
// Under TLS 1.3 a client's handshake completes before the server has checked
// its certificate, so a refusal by the server appears as the session's Err.
func MutualClientTLS(caFile, certFile, keyFile string) (*tls.Config, error) {
	config, err := ClientTLS(caFile)
	if err != nil {
		return nil, err
	}
	pair, err := loadKeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	config.GetClientCertificate = pair.forClient
	return config, nil
}

// loadCAs reads the certificates in a PEM file. Unlike AppendCertsFromPEM, it
// returns an error for one that cannot be parsed.
func loadCAs(file string) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("chanio: CA certificates: %w", err)
	}
	pool := x509.NewCertPool()
	found := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		found++
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("chanio: CA certificates: number %d in %s: %w", found, file, err)
		}
		pool.AddCert(cert)
	}
	if found == 0 {
		return nil, fmt.Errorf("chanio: CA certificates: no PEM certificate in %s", file)
	}
	return pool, nil
}
