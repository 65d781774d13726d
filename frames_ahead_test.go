package chanio_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// sealed is a Framing whose messages end in a full stop. It wants to see that
// many bytes after one before it believes it.
type sealed struct{ ahead int }

func (f sealed) AppendFrame(dst, message []byte) ([]byte, error) {
	return append(append(dst, message...), '.'), nil
}

func (f sealed) Next(buf []byte, _ int) ([]byte, int, error) {
	end := bytes.IndexByte(buf, '.')
	if end < 0 || len(buf)-end-1 < f.ahead {
		return nil, 0, nil
	}
	return buf[:end], end + 1, nil
}

func TestAFramingMayLookPastAMessagesEnd(t *testing.T) {
	const wire = "one.two..three.a longer one that no read has whole.x.y.z.12345678"
	want := []string{"one", "two", "", "three", "a longer one that no read has whole", "x", "y", "z"}
	for _, ahead := range []int{1, 2, 3, 8} {
		for cut := 1; cut <= len(wire); cut++ {
			s, peer := framedPair(t, &chanio.Options{Framing: sealed{ahead}})
			go func() {
				for p := []byte(wire); len(p) > 0; p = p[min(cut, len(p)):] {
					peer.Write(p[:min(cut, len(p))])
				}
				peer.Close()
			}()
			var got []string
			for m := range s.Recv() {
				got = append(got, string(m))
			}
			require.Equal(t, want, got, "%d bytes ahead, %d bytes a read", ahead, cut)
			require.ErrorIs(t, s.Err(), io.ErrUnexpectedEOF, "for what follows the last message")
		}
	}
}
