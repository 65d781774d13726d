package chanio_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

var recordSuites = []struct {
	suite   uint16
	version uint16
}{
	{tls.TLS_AES_128_GCM_SHA256, tls.VersionTLS13},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.VersionTLS12},
	{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.VersionTLS12},
}

// A peer can decrypt whole records only. That is what BytesSent counts of a write
// that failed midway, and Undelivered counts the rest.
func TestOfAFailedWriteOverTLSBytesSentCountsWholeRecords(t *testing.T) {
	for _, test := range recordSuites {
		for _, answers := range []bool{false, true} { // a Put that answers writes by itself
			t.Run(fmt.Sprintf("%s/answers=%v", tls.CipherSuiteName(test.suite), answers), func(t *testing.T) {
				server, client := testTLS(t)
				client.MaxVersion, client.CipherSuites = test.version, []uint16{test.suite}
				l := listenOn(t, t.Context(), "unix", anyAddress(t, "unix"),
					&chanio.Options{TLS: server, WriteTimeout: 100 * time.Millisecond, WriteBuffer: 16 << 10})
				peer := dialPeer(t, l.Addr(), client)
				s, _ := await(t, l.Sessions(), "a session")
				if answers {
					_, err := peer.Write([]byte("ask"))
					require.NoError(t, err)
					await(t, s.Recv(), "the question")
				}
				accepted := putUntilTheEnd(s)
				awaitDone(t, s)
				requireTimeout(t, s.Err())
				got, _ := io.ReadAll(peer) // an unexpected end, unless it is between two records
				require.NotEmpty(t, got)
				require.EqualValues(t, len(got), s.Stats().BytesSent)
				requireAllIsCounted(t, s, accepted)
			})
		}
	}
}

// putUntilTheEnd puts messages until the session has ended, or for half a
// megabyte, and returns how many bytes were accepted.
func putUntilTheEnd(s *chanio.Session) (accepted int64) {
	m := noise(50 << 10)
	for range 10 {
		if s.Put(bytes.Clone(m)) != nil {
			break
		}
		accepted += int64(len(m))
	}
	return accepted
}

// A shortOutput is a connection that breaks once it has taken so many bytes.
type shortOutput struct {
	*chaniotest.Conn
	left *atomic.Int64
}

func (c shortOutput) Write(p []byte) (int, error) {
	n := min(int64(len(p)), c.left.Load())
	c.left.Add(-n)
	if n < int64(len(p)) {
		n, _ := c.Conn.Write(p[:n])
		return n, errUnwritable
	}
	return c.Conn.Write(p)
}

func TestOfAFailedWriteOverPortableTLSBytesSentCountsWholeRecords(t *testing.T) {
	for _, test := range recordSuites {
		for _, taken := range []int64{0, 1, 1000, 70_001, 200_000} {
			t.Run(fmt.Sprintf("%s/%d", tls.CipherSuiteName(test.suite), taken), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var left atomic.Int64
					left.Store(1 << 20)
					m := newMemServer(t, t.Context(), chanio.Options{})
					m.client.MaxVersion, m.client.CipherSuites = test.version, []uint16{test.suite}
					m.ln.replace <- func(conn net.Conn) net.Conn { return shortOutput{conn.(*chaniotest.Conn), &left} }
					peer := m.connect(t)
					s := <-m.Sessions()
					got := make(chan []byte, 1)
					go func() {
						p, _ := io.ReadAll(peer) // as above
						got <- p
					}()
					left.Store(taken)
					accepted := putUntilTheEnd(s)
					synctest.Wait()
					s.Abort(nil)
					<-s.Done()
					require.EqualValues(t, len(<-got), s.Stats().BytesSent)
					requireAllIsCounted(t, s, accepted)
				})
			})
		}
	}
}
