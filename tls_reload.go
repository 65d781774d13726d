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
	// reloadPatience is how long a handshake waits for the file system, before it
	// takes the certificate from before.
	reloadPatience = time.Second
	// Files that could not be read are read again after reloadPauseMin, though they
	// have not changed, and then after twice as long each time, up to reloadPauseMax.
	reloadPauseMin = 100 * time.Millisecond
	reloadPauseMax = time.Minute
)

// keyPair is a certificate and its key in files, which are read again when they
// have changed. Handshakes look; between them nothing runs.
type keyPair struct {
	certFile, keyFile string
	load              func(certFile, keyFile string) (tls.Certificate, error)

	mu       sync.Mutex // not held while files are looked at or read
	cert     *tls.Certificate
	files    pairFiles     // as they were before they were read last, with whatever result
	checking chan struct{} // closed by the check under way; nil if there is none
	late     bool          // that check has taken longer than reloadPatience
	pause    time.Duration // after the last reading, which has failed; else 0
	retry    time.Time     // when it is over
	failure  error         // of the last reading; nil once an event has told of it
	told     string        // what that was, since the files last changed
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
// Certificates, a server that would not take the certificate is shown none.
func (k *keyPair) forClient(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	cert := k.current(info.Context())
	if info.SupportsCertificate(cert) != nil {
		return new(tls.Certificate), nil
	}
	return cert, nil
}

// current returns the certificate for a handshake, having read it again if the
// files have changed. A failure to is an event of whoever shakes hands. ctx is nil
// where a program asks by itself, with an empty ClientHelloInfo.
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
		events.emit(Event{Kind: EventFailed, Err: fmt.Errorf("%w; the one from before stays in use", failure)})
	}
	return cert
}

// refresh waits for a check of the files, for reloadPatience at most: a file system
// that hangs must hang neither handshakes nor whoever waits for their end.
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

// check looks at the files, and reads them if they have changed or could not be
// read. refresh starts it, one at a time; it ends when the file system has answered,
// which nobody can make it do.
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

// due reports whether the files are to be read.
func (k *keyPair) due(files pairFiles) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if files.same(k.files) {
		return k.pause > 0 && !time.Now().Before(k.retry)
	}
	k.files, k.pause, k.told = files, 0, ""
	return true
}

// took notes what reading the files has come to.
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
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && changedAt(a) == changedAt(b)
}
