package chanio

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// writeInPieces writes p to conn in pieces of random sizes up to limit.
func writeInPieces(conn net.Conn, p []byte, limit int, rng *rand.Rand) error {
	for len(p) > 0 {
		n := min(len(p), 1+rng.IntN(limit))
		if _, err := conn.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func TestFramedMessagesArriveWholeHoweverTheStreamIsCut(t *testing.T) {
	for _, f := range []Framing{Lines{}, Delimiter{Byte: 0}, LengthPrefix{Size: 1}, LengthPrefix{Size: 2, LittleEndian: true, IncludesHeader: true}, LengthPrefix{Size: 4}, LengthPrefix{Size: 8}, LengthPrefix{Varint: true}} {
		for _, cut := range []int{1, 3, 100, 5000, 100000} {
			for _, q := range queues {
				t.Run(fmt.Sprintf("%T%v/cut %d/%s", f, f, cut, q.name), func(t *testing.T) {
					rng := rand.New(rand.NewPCG(1, uint64(cut)))
					o := q.o
					o.Framing = f
					a, b := net.Pipe()
					s := NewSession(context.Background(), b, &o)
					defer s.Close()
					sizes := []int{0, 1, 2, 31, 32, 127, 128, 129, 200, 255}
					if f != (LengthPrefix{Size: 1}) && cut >= 100 {
						sizes = append(sizes, 4000, 60000)
					}
					var want [][]byte
					var wire []byte
					for range 40 {
						m := bytes.Repeat([]byte{byte('a' + rng.IntN(26))}, sizes[rng.IntN(len(sizes))])
						var err error
						wire, err = f.AppendFrame(wire, m)
						require.NoError(t, err)
						want = append(want, m)
					}
					sent := make(chan error, 1)
					go func() {
						defer a.Close()
						sent <- writeInPieces(a, wire, cut, rng)
					}()
					for i, m := range want {
						got, ok := <-s.Recv()
						require.True(t, ok, "message %d: %v", i, s.Err())
						require.True(t, bytes.Equal(m, got), "message %d: %d bytes, want %d", i, len(got), len(m))
						require.Equal(t, len(got), cap(got))
					}
					require.NoError(t, <-sent)
					_, ok := <-s.Recv()
					require.False(t, ok)
				})
			}
		}
	}
}
