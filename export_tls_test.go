package chanio

import (
	"context"
	"crypto/tls"
)

// A KeyPair is a certificate that is read again when its files change.
type KeyPair = keyPair

// LoadKeyPair reads a certificate.
var LoadKeyPair = loadKeyPair

// Current returns the certificate for a handshake under ctx.
func (k *keyPair) Current(ctx context.Context) *tls.Certificate { return k.current(ctx) }

// ForClient is tls.Config.GetClientCertificate.
func (k *keyPair) ForClient(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return k.forClient(info)
}

// LoadWith makes k read files by load.
func (k *keyPair) LoadWith(load func(certFile, keyFile string) (tls.Certificate, error)) {
	k.load = load
}

// WithEvents returns a context whose handshakes tell q what happens.
var WithEvents = withEvents
