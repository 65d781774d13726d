package ws

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// FuzzReader reads any bytes, whole and in two pieces. The reader must not
// panic, take more than there is, make a message over the limit, or see
// anything else in pieces than in one.
func FuzzReader(f *testing.F) {
	for _, cases := range [][]protocolCase{controlCases(), utf8Cases(), closeCases(), hostileCases()} {
		for _, c := range cases {
			f.Add(bytes.Join(c.send, nil), 1, false)
		}
	}
	f.Add(bytes.Join(deflatedFrames(ws.OpText, "compress me, compress me, compress me", 10), nil), 3, true)
	f.Fuzz(func(t *testing.T, wire []byte, cut int, deflate bool) {
		const limit = 1000
		read := func(pieces ...[]byte) (seen []string, end error) {
			r := &reader{framing: framing{deflate: deflate}}
			var rest []byte
			for _, p := range pieces {
				rest = append(rest, p...)
				for len(rest) > 0 {
					m, n, reply, err := r.Next(rest, limit)
					if n < 0 || n > len(rest) || len(m) > limit || len(reply) > maxHeader+maxControl || len(r.parts) > limit+deflateOverhead(limit) {
						t.Fatalf("took %d of %d, message of %d, reply of %d, parts of %d", n, len(rest), len(m), len(reply), len(r.parts))
					}
					if err != nil {
						if e, ok := errors.AsType[*CloseError](err); !ok && err != io.EOF || ok && e.Code == 0 {
							t.Fatalf("an end without a code: %v", err)
						}
						if last := r.End(err); len(last) < 2 || len(last) > maxHeader+maxControl {
							t.Fatalf("a close of %d bytes", len(last))
						}
						return seen, err
					}
					if n == 0 {
						break
					}
					if m != nil {
						seen = append(seen, "message "+string(m))
					}
					if reply != nil {
						seen = append(seen, "reply "+string(reply))
					}
					rest = rest[n:]
				}
			}
			return seen, nil
		}
		cut = max(0, min(cut, len(wire)))
		whole, wholeErr := read(bytes.Clone(wire))
		parts, partsErr := read(bytes.Clone(wire[:cut]), wire[cut:])
		if len(whole) != len(parts) || (wholeErr == nil) != (partsErr == nil) {
			t.Fatalf("whole: %q, %v; in pieces: %q, %v", whole, wholeErr, parts, partsErr)
		}
		for i := range whole {
			if whole[i] != parts[i] {
				t.Fatalf("whole: %q; in pieces: %q", whole[i], parts[i])
			}
		}
	})
}

// FuzzFraming reads back framed messages.
func FuzzFraming(f *testing.F) {
	f.Add([]byte("hello"), true, true, true)
	f.Add(bytes.Repeat([]byte("compress me "), 100), false, false, true)
	f.Fuzz(func(t *testing.T, message []byte, text, client, deflate bool) {
		fr := framing{text: text, client: client, deflate: deflate}
		wire, err := fr.AppendFrame(nil, message)
		if (err != nil) != (text && !utf8.Valid(message)) {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		r := &reader{framing: framing{client: !client, deflate: deflate}}
		got, n, _, err := r.Next(wire, len(message))
		if err != nil || n != len(wire) || !bytes.Equal(got, message) || got == nil {
			t.Fatalf("%d of %d bytes, %q, %v", n, len(wire), got, err)
		}
	})
}
