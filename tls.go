package chanio

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
)

// ServerTLS returns a config for the TLS of a server (see [Options]): its
// certificate and private key are in PEM files, the certificate followed by
// those between it and the CA. TLS 1.2 is the floor; all else is Go's default,
// and the config may be changed before it is used. Any number of listeners may
// share it.
//
// The files are read now, and again when they change, without a restart: each
// full handshake looks at their times and sizes. Running sessions keep the
// certificate that they have, and those that are resumed need none. If the new
// files can't be used, the old pair stays, and the listener whose handshake saw it
// emits one [EventFailed] that names them; that can also be because only one of the
// two was written yet, and the next change mends it. What could not be read is read
// again by later handshakes, with a growing pause, though it has not changed. A
// file system that hangs holds up a handshake for a second, and those that follow
// not at all.
//
// There is no file of Diffie-Hellman parameters to give: Go's TLS agrees on
// keys over elliptic curves and ML-KEM only.
//
// Errors name the file.
func ServerTLS(certFile, keyFile string) (*tls.Config, error) {
	pair, err := loadKeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.forServer}, nil
}

// ClientTLS returns a config for the TLS of a client that trusts the CAs in the
// PEM file and no others; the file is read once. [Dial] and [Connect] verify that the server's
// certificate is for the host of their address, unless ServerName is set in the
// config, as it must be for unix sockets. TLS 1.2 is the floor; all else is
// Go's default: set ClientSessionCache to resume sessions.
//
// Errors name the file.
func ClientTLS(caFile string) (*tls.Config, error) {
	pool, err := loadCAs(caFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}

// MutualServerTLS is [ServerTLS] for a server whose clients must show a
// certificate, for client authentication and from a CA in clientCAFile (PEM), which
// is read once.
// [Session.TLS] has it in PeerCertificates. A client without one fails its
// handshake, which is an [EventFailed].
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

// MutualClientTLS is [ClientTLS] for a client that shows the certificate in
// certFile, with its key in keyFile (PEM), to servers that ask for one from its
// CA. The two files are read again when they change, as those of [ServerTLS]
// are; the events are those of [Connect]'s client. Dial has none, and uses the
// old pair without a word.
//
// Under TLS 1.3 a client's handshake is over before the server has looked at
// its certificate: a server that refuses it is seen as the session's Err.
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

// loadCAs reads the certificates in a PEM file. One that cannot be parsed is an
// error, which AppendCertsFromPEM would pass over.
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
		return nil, fmt.Errorf("chanio: CA certificates: there is none, in PEM, in %s", file)
	}
	return pool, nil
}
