package chanio

import (
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

const (
	// reloadPatience is how long a handshake waits for the file system before
	// it uses the previous certificate.
	reloadPatience = time.Second
	// Files that could not be read are read again after reloadPauseMin even if
	// they have not changed, then after twice as long each time, up to
	// reloadPauseMax.
	reloadPauseMin = 100 * time.Millisecond
	reloadPauseMax = time.Minute
)

// keyPair is a certificate and key in files, which are reread when they change.
// Handshakes check the files; nothing runs between them.
type keyPair struct {
	certFile, keyFile string
	load              func(certFile, keyFile string) (tls.Certificate, error)

	mu       sync.Mutex // not held while files are checked or read
	cert     *tls.Certificate
	files    pairFiles     // as they were before the last read, whatever its result
	checking chan struct{} // closed by the check in progress; nil if there is none
	late     bool          // that check has taken longer than reloadPatience
	pause    time.Duration // after a failed read; otherwise 0
	retry    time.Time     // when the pause is over
	failure  error         // the last read's error; nil once an event has reported it
	told     string        // the error last reported since the files changed
}

func loadKeyPair(certFile, keyFile string) (*keyPair, error) {
	k := &keyPair{certFile: certFile, keyFile: keyFile, load: tls.LoadX509KeyPair}
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
// Certificates, a server that would not accept the certificate is shown none.
func (k *keyPair) forClient(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	cert := k.current(info.Context())
	if info.SupportsCertificate(cert) != nil {
		return new(tls.Certificate), nil
	}
	return cert, nil
}

// current returns the certificate for a handshake, rereading it if the files
// have changed. A failure is emitted as an event of the listener or client
// whose handshake it is. ctx is nil if a program calls this itself with an
// empty ClientHelloInfo.
func (k *keyPair) current(ctx context.Context) *tls.Certificate {
	if ctx == nil {
		ctx = context.Background()
	}
	k.refresh(ctx)
	events := eventsFrom(ctx)
	k.mu.Lock()
	cert, failure := k.cert, k.failure
	if events != nil {
		k.failure = nil
	}
	k.mu.Unlock()
	if events != nil && failure != nil {
		events.emit(Event{Kind: EventFailed, Err: fmt.Errorf("%w; the previous one stays in use", failure)})
	}
	return cert
}

// refresh waits for a check of the files, for at most reloadPatience: a hanging
// file system must not hang handshakes or those that wait for their end.
func (k *keyPair) refresh(ctx context.Context) {
	k.mu.Lock()
	done, late := k.checking, k.late
	if done == nil {
		done = make(chan struct{})
		k.checking = done
		go k.check(done)
	}
	k.mu.Unlock()
	if late {
		return
	}
	timer := time.NewTimer(reloadPatience)
	defer timer.Stop()
	select {
	case <-done:
	case <-ctx.Done():
	case <-timer.C:
		k.mu.Lock()
		k.late = k.checking == done
		k.mu.Unlock()
	}
}

// check looks at the files and reads them if they have changed or could not be
// read. refresh starts it, one at a time. It ends when the file system answers,
// which nothing can force.
func (k *keyPair) check(done chan struct{}) {
	if k.due(k.look()) {
		cert, err := k.read()
		k.took(cert, err)
	}
	k.mu.Lock()
	k.checking, k.late = nil, false
	k.mu.Unlock()
	close(done)
}

// due reports whether to read the files.
func (k *keyPair) due(files pairFiles) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if files.same(k.files) {
		return k.pause > 0 && !time.Now().Before(k.retry)
	}
	k.files, k.pause, k.told = files, 0, ""
	return true
}

// took records the result of reading the files.
func (k *keyPair) took(cert *tls.Certificate, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.cert, k.pause, k.failure, k.told = cert, 0, nil, ""
		return
	}
	k.pause = min(max(2*k.pause, reloadPauseMin), reloadPauseMax)
	k.retry = time.Now().Add(k.pause)
	if err.Error() != k.told {
		k.failure, k.told = err, err.Error()
	}
}

func (k *keyPair) read() (*tls.Certificate, error) {
	cert, err := k.load(k.certFile, k.keyFile)
	if err != nil {
		return nil, fmt.Errorf("chanio: certificate %s with key %s: %w", k.certFile, k.keyFile, err)
	}
	return &cert, nil
}

func (k *keyPair) look() pairFiles {
	var files pairFiles
	// A file that cannot be examined is nil; reading it will say why.
	files.cert, _ = os.Stat(k.certFile)
	files.key, _ = os.Stat(k.keyFile)
	return files
}

// pairFiles tells whether files have changed.
type pairFiles struct{ cert, key fs.FileInfo }

func (f pairFiles) same(g pairFiles) bool {
	return sameFile(f.cert, g.cert) && sameFile(f.key, g.key)
}

func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && changedAt(a) == changedAt(b)
}
