package chanio

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzDeframerAgreesWithNext cuts any bytes at any places: the reader finds the
// messages, and the error, that Next finds in the whole.
func FuzzDeframerAgreesWithNext(f *testing.F) {
	for kind := range uint8(5) {
		f.Add([]byte("a\r\nbc\n\n\x00\x00\x00\x03abc\x02xy"), uint8(1), kind)
		f.Add(make([]byte, 3000), uint8(200), kind)
	}
	f.Fuzz(func(t *testing.T, data []byte, cut, kind uint8) {
		framing := []Framing{Lines{}, Delimiter{Byte: 'a'}, LengthPrefix{Size: 2}, LengthPrefix{Varint: true, IncludesHeader: true}, netstring{}}[kind%5]
		const limit = 1000
		var want [][]byte
		failed := false
		for buf := data; ; {
			m, n, err := framing.Next(buf, limit)
			if failed = err != nil; failed || n == 0 {
				break
			}
			want = append(want, m)
			buf = buf[n:]
		}

		set, err := (&Options{Framing: framing, MaxMessage: limit, RecvQueue: len(data) + 1}).resolve(false)
		require.NoError(t, err)
		s := newSession(context.Background(), noTransport{}, set, nil)
		d := deframer{codec: set.codec, limit: limit}
		err = nil
		for rest := data; len(rest) > 0 && err == nil; {
			n := min(len(rest), 1+int(cut))
			err = s.deliverFrames(&d, rest[:n])
			rest = rest[n:]
			require.LessOrEqual(t, cap(d.rest), 2*(limit+maxOverhead))
		}
		close(s.recv)
		for i, m := range want {
			got, ok := <-s.recv
			require.True(t, ok, "message %d of %d is missing: %v", i, len(want), err)
			require.Equal(t, string(m), string(got))
			require.Equal(t, len(got), cap(got))
		}
		require.Empty(t, s.recv)
		require.Equal(t, failed, err != nil, "%v", err)
	})
}
