package chanio_test

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// BenchmarkPipe: an op is 64 KiB from one peer through a Pipe to another, as
// fast as that one reads, or 32 bytes there and back.
func BenchmarkPipe(b *testing.B) {
	b.Run("bulk", func(b *testing.B) {
		client, one := socketPair(b, "tcp")
		other, server := socketPair(b, "tcp")
		over := make(chan error, 1)
		x, y := chanio.NewSession(context.Background(), one, nil), chanio.NewSession(context.Background(), other, nil)
		go func() { over <- chanio.Pipe(context.Background(), x, y) }()
		read := make(chan struct{})
		go func() { // ends with the connection
			defer close(read)
			io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{server}, make([]byte, 64<<10))
			server.Close()
		}()
		block := make([]byte, 64<<10)
		b.SetBytes(int64(len(block)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := client.Write(block); err != nil {
				b.Fatal(err)
			}
		}
		client.Close()
		<-read
		require.NoError(b, <-over)
	})
	b.Run("echo", func(b *testing.B) {
		client, one := socketPair(b, "tcp")
		other, server := socketPair(b, "tcp")
		over := make(chan error, 1)
		x, y := chanio.NewSession(context.Background(), one, nil), chanio.NewSession(context.Background(), other, nil)
		go func() { over <- chanio.Pipe(context.Background(), x, y) }()
		go func() { // ends with the connection
			io.CopyBuffer(struct{ io.Writer }{server}, struct{ io.Reader }{server}, make([]byte, 64<<10))
			server.Close()
		}()
		benchmarkRoundTrips(b, client)
		require.NoError(b, <-over)
	})
}
