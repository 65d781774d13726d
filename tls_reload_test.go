package chanio_test

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// serialNow returns the serial number of the certificate that a handshake would
// use now.
func serialNow(t *testing.T, k *chanio.KeyPair) int64 {
	t.Helper()
	return k.Current(t.Context()).Leaf.SerialNumber.Int64()
}

// overwrite writes data over the contents of file, which stays the same file,
// of that size and with the time of its last change.
func overwrite(t *testing.T, file string, data []byte, size int, changed time.Time) {
	t.Helper()
	require.LessOrEqual(t, len(data), size)
	for len(data) < size {
		data = append(data, '\n') // which PEM does not mind
	}
	require.NoError(t, os.WriteFile(file, data, 0o600))
	require.NoError(t, os.Chtimes(file, changed, changed))
}

func TestAReloadNoticesEveryWayOfReplacingFiles(t *testing.T) {
	ca := newAuthority(t, "ca")
	const size = 2000
	then := time.Now().Add(-time.Hour)
	// pem returns a new pair as it is in files.
	pem := func(serial int64) (cert, key []byte) {
		certFile, keyFile := pairFilesIn(t.TempDir())
		savePair(t, ca.issue(t, serial, nil), certFile, keyFile)
		cert, err := os.ReadFile(certFile)
		require.NoError(t, err)
		key, err = os.ReadFile(keyFile)
		require.NoError(t, err)
		return cert, key
	}
	write := func(serial int64, certFile, keyFile string, size int, changed time.Time) {
		cert, key := pem(serial)
		overwrite(t, certFile, cert, size, changed)
		overwrite(t, keyFile, key, size, changed)
	}
	for _, test := range []struct {
		name    string
		replace func(certFile, keyFile string)
	}{
		{"in place, at another time", func(certFile, keyFile string) {
			write(2, certFile, keyFile, size, then.Add(time.Millisecond))
		}},
		{"in place, to an earlier time", func(certFile, keyFile string) {
			write(2, certFile, keyFile, size, then.Add(-time.Hour))
		}},
		{"in place, with the same size, and the time set back", func(certFile, keyFile string) {
			if runtime.GOOS != "linux" {
				t.Skip("only Linux is asked for the time of the change")
			}
			write(2, certFile, keyFile, size, then)
		}},
		{"in place, with another size", func(certFile, keyFile string) {
			write(2, certFile, keyFile, size+1, then)
		}},
		{"by files of the same size and time", func(certFile, keyFile string) {
			write(2, certFile+".next", keyFile+".next", size, then)
			require.NoError(t, os.Rename(certFile+".next", certFile))
			require.NoError(t, os.Rename(keyFile+".next", keyFile))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			certFile, keyFile := pairFilesIn(t.TempDir())
			write(1, certFile, keyFile, size, then)
			pair, err := chanio.LoadKeyPair(certFile, keyFile)
			require.NoError(t, err)
			require.EqualValues(t, 1, serialNow(t, pair))
			test.replace(certFile, keyFile)
			awaitSerial(t, 1, 2, func() int64 { return serialNow(t, pair) })
		})
	}

	// Kubernetes mounts a secret as links into a directory that is a link itself,
	// and replaces that link.
	t.Run("by a link to another directory", func(t *testing.T) {
		dir := t.TempDir()
		for serial, version := range []string{"..1", "..2"} {
			require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
			certFile, keyFile := pairFilesIn(filepath.Join(dir, version))
			write(int64(serial+1), certFile, keyFile, size, then)
		}
		certFile, keyFile := pairFilesIn(dir)
		data := filepath.Join(dir, "..data")
		require.NoError(t, os.Symlink("..1", data))
		for _, file := range []string{certFile, keyFile} {
			require.NoError(t, os.Symlink(filepath.Join("..data", filepath.Base(file)), file))
		}
		pair, err := chanio.LoadKeyPair(certFile, keyFile)
		require.NoError(t, err)
		require.EqualValues(t, 1, serialNow(t, pair))

		require.NoError(t, os.Symlink("..2", data+".next"))
		require.NoError(t, os.Rename(data+".next", data))
		awaitSerial(t, 1, 2, func() int64 { return serialNow(t, pair) })
	})
}

func TestAReloadWaitsForTheSecondOfTwoFiles(t *testing.T) {
	ca := newAuthority(t, "ca")
	for _, test := range []struct {
		name  string
		order string
	}{{"certificate first", "ck"}, {"key first", "kc"}} {
		t.Run(test.name, func(t *testing.T) {
			certFile, keyFile := pairFilesIn(t.TempDir())
			savePair(t, ca.issue(t, 1, nil), certFile, keyFile)
			pair, err := chanio.LoadKeyPair(certFile, keyFile)
			require.NoError(t, err)
			next := ca.issue(t, 2, nil)
			for i, file := range test.order {
				require.EqualValues(t, 1, serialNow(t, pair), "before file %d", i+1)
				if file == 'c' {
					saveCert(t, next, certFile)
				} else {
					saveKey(t, next, keyFile)
				}
			}
			awaitSerial(t, 1, 2, func() int64 { return serialNow(t, pair) })
		})
	}
}

// renewedPair returns the certificate with serial number 1, whose files hold number
// 2 by now.
func renewedPair(t *testing.T) *chanio.KeyPair {
	t.Helper()
	ca := newAuthority(t, "ca")
	certFile, keyFile := pairFilesIn(t.TempDir())
	savePair(t, ca.issue(t, 1, nil), certFile, keyFile)
	pair, err := chanio.LoadKeyPair(certFile, keyFile)
	require.NoError(t, err)
	savePair(t, ca.issue(t, 2, nil), certFile, keyFile)
	return pair
}

func TestAReadThatFailsOnceIsTriedAgainWithAGrowingPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair := renewedPair(t)
		failures, reads := 3, 0
		pair.LoadWith(func(certFile, keyFile string) (tls.Certificate, error) {
			if reads++; reads <= failures {
				return tls.Certificate{}, errors.New("stale file handle")
			}
			return tls.LoadX509KeyPair(certFile, keyFile)
		})
		for i := range failures {
			require.EqualValues(t, 1, serialNow(t, pair))
			<-time.After(chanio.ReloadPauseMin<<i - 1)
			require.EqualValues(t, 1, serialNow(t, pair))
			require.Equal(t, i+1, reads, "not before the pause is over")
			<-time.After(1)
		}
		require.EqualValues(t, 2, serialNow(t, pair))
		require.EqualValues(t, 2, serialNow(t, pair))
		require.Equal(t, failures+1, reads)
	})
}

func TestFilesThatHangDelayNoHandshake(t *testing.T) {
	pair := renewedPair(t)
	hung, answer := make(chan struct{}), make(chan struct{})
	pair.LoadWith(func(certFile, keyFile string) (tls.Certificate, error) {
		close(hung)
		<-answer
		return tls.LoadX509KeyPair(certFile, keyFile)
	})
	began := time.Now()
	require.EqualValues(t, 1, serialNow(t, pair), "after reloadPatience")
	require.GreaterOrEqual(t, time.Since(began), chanio.ReloadPatience)
	<-hung
	for range 1000 { // which would be 1000 s
		require.EqualValues(t, 1, serialNow(t, pair))
	}
	close(answer)
	for serialNow(t, pair) != 2 {
	}
}

// Close of a listener ends the contexts of its handshakes.
func TestFilesThatHangDelayNoHandshakeWhoseContextHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair := renewedPair(t)
		answer := make(chan struct{})
		pair.LoadWith(func(certFile, keyFile string) (tls.Certificate, error) {
			<-answer
			return tls.LoadX509KeyPair(certFile, keyFile)
		})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		began := time.Now()
		require.EqualValues(t, 1, pair.Current(ctx).Leaf.SerialNumber.Int64())
		require.Equal(t, time.Millisecond, since(began))
		close(answer)
	})
}

func TestGetCertificateWorksWithoutAHandshake(t *testing.T) {
	server, err := chanio.ServerTLS("testdata/server.crt", "testdata/server.key")
	require.NoError(t, err)
	cert, err := server.GetCertificate(new(tls.ClientHelloInfo))
	require.NoError(t, err)
	require.NotNil(t, cert)
}

func TestABundleWithABrokenCertificateIsAnError(t *testing.T) {
	ca, err := os.ReadFile("testdata/ca.crt")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "bundle.crt")
	broken := "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	require.NoError(t, os.WriteFile(file, append(ca, broken...), 0o600))
	_, err = chanio.ClientTLS(file)
	require.ErrorContains(t, err, "number 2 in "+file)
}
