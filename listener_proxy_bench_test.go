package chanio_test

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// BenchmarkProxyEcho: an op is a message of 32 bytes from a plain peer through
// an accepted session and back, one at a time or a thousand in flight, with and
// without a PROXY header before all of them. After the header there must be no
// difference.
func BenchmarkProxyEcho(b *testing.B) {
	for _, inFlight := range []struct {
		name string
		n    int
	}{{"1", 1}, {"1000", 1000}} {
		for _, proxied := range []struct {
			name, header string
		}{{"without", ""}, {"with", proxyHeader1}} {
			b.Run(inFlight.name+"/"+proxied.name, func(b *testing.B) {
				l, err := chanio.Listen(context.Background(), "tcp", "127.0.0.1:0", &chanio.Options{ProxyProtocol: proxied.header != ""})
				require.NoError(b, err)
				defer l.Close()
				conn := connectTo(b, l)
				_, err = io.WriteString(conn, proxied.header)
				require.NoError(b, err)
				s := <-l.Sessions()
				go func() { // ends with the session
					for m := range s.Recv() {
						if s.Put(m) != nil {
							return
						}
					}
				}()
				m := bytes.Repeat([]byte("x"), 32*inFlight.n)
				got := make([]byte, len(m))
				b.ReportAllocs()
				for n := 0; b.Loop(); n++ {
					if n%inFlight.n != 0 {
						continue
					}
					if _, err := conn.Write(m); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(conn, got); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
