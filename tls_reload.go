package chanio

import (
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// keyPair is a certificate and its key in files, which are read again when they
// have changed. Handshakes look; between them nothing runs.
type keyPair struct {
	certFile, keyFile string

	mu      sync.Mutex // not held while files are looked at or read
	cert    *tls.Certificate
	files   pairFiles // as they were before they were read last, with whatever result
	reading bool      // somebody reads them now: the others take what there is
	failure error     // of the last reading; nil once an event has told of it
}

func loadKeyPair(certFile, keyFile string) (*keyPair, error) {
	k := &keyPair{certFile: certFile, keyFile: keyFile}
	k.files = k.look()
	var err error
	k.cert, err = k.read()
	if err != nil {
		return nil, err
	}
	return k, nil
}

// forServer is a [tls.Config]'s GetCertificate.
func (k *keyPair) forServer(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return k.current(hello.Context()), nil
}

// forClient is a [tls.Config]'s GetClientCertificate. As with a config's
// Certificates, a server that would not take the certificate is shown none.
func (k *keyPair) forClient(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	cert := k.current(info.Context())
	if info.SupportsCertificate(cert) != nil {
		return new(tls.Certificate), nil
	}
	return cert, nil
}

// current returns the certificate for a handshake, having read it again if the
// files have changed. A failure to is an event of whoever shakes hands.
func (k *keyPair) current(ctx context.Context) *tls.Certificate {
	if files := k.look(); k.begin(files) {
		cert, err := k.read()
		k.end(cert, err)
	}
	events := eventsFrom(ctx)
	k.mu.Lock()
	cert, failure := k.cert, k.failure
	if events != nil {
		k.failure = nil
	}
	k.mu.Unlock()
	if events != nil && failure != nil {
		events.emit(Event{Kind: EventFailed, Err: fmt.Errorf("%w; the one from before stays in use", failure)})
	}
	return cert
}

// begin reports that the files have changed, and that the caller shall read
// them.
func (k *keyPair) begin(files pairFiles) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.reading || files.same(k.files) {
		return false
	}
	k.reading, k.files = true, files
	return true
}

func (k *keyPair) end(cert *tls.Certificate, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reading, k.failure = false, err
	if err == nil {
		k.cert = cert
	}
}

func (k *keyPair) read() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(k.certFile, k.keyFile)
	if err != nil {
		return nil, fmt.Errorf("chanio: certificate %s with key %s: %w", k.certFile, k.keyFile, err)
	}
	return &cert, nil
}

func (k *keyPair) look() pairFiles {
	var files pairFiles
	// A file that can't be seen is nil: reading it says why.
	files.cert, _ = os.Stat(k.certFile)
	files.key, _ = os.Stat(k.keyFile)
	return files
}

// pairFiles is what tells whether files have changed.
type pairFiles struct{ cert, key fs.FileInfo }

func (f pairFiles) same(g pairFiles) bool {
	return sameFile(f.cert, g.cert) && sameFile(f.key, g.key)
}

func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
