package chanio_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestFramingRoundTripsHoweverTheStreamIsCut(t *testing.T) {
	messages := [][]byte{
		{}, []byte("a"), {}, []byte("hello, world"), {0}, []byte("\r"), []byte("a\r"), []byte("a\rb\r\r"),
		[]byte("two\nlines"), []byte("a;b"), []byte(";"), {0xff}, {0x80}, {},
	}
	for _, n := range []int{123, 124, 125, 126, 127, 128, 129, 251, 252, 253, 254, 255, 256} {
		messages = append(messages, bytes.Repeat([]byte{'x'}, n))
	}
	for _, f := range framings() {
		t.Run(f.name, func(t *testing.T) {
			requireRoundTrip(t, f.framing, messages...)
			for _, m := range messages {
				requireRoundTrip(t, f.framing, m)
			}
		})
	}
}

func TestFramingRoundTripsWhereHeadersGrow(t *testing.T) {
	for _, f := range framings() {
		t.Run(f.name, func(t *testing.T) {
			sizes := []int{1<<14 - 4, 1<<14 - 3, 1<<14 - 2, 1<<14 - 1, 1 << 14, 1<<16 - 3, 1<<16 - 2, 1<<16 - 1, 1 << 16}
			if p, ok := f.framing.(chanio.LengthPrefix); ok && p.Varint {
				sizes = append(sizes, 1<<21-5, 1<<21-4, 1<<21-3, 1<<21-1, 1<<21)
			}
			for _, n := range sizes {
				wire, want := encode(t, f.framing, bytes.Repeat([]byte{'x'}, n))
				got, err := decode(t, f.framing, n, wire)
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
		})
	}
}

func TestFramingAllowsExactlyTheLimit(t *testing.T) {
	for _, f := range framings() {
		t.Run(f.name, func(t *testing.T) {
			for _, limit := range []int{0, 1, 2, 100} {
				exact, want := encode(t, f.framing, bytes.Repeat([]byte{'x'}, limit))
				got, err := decode(t, f.framing, limit, dribble(exact)...)
				require.NoError(t, err)
				require.Equal(t, want, got)

				past, _ := encode(t, f.framing, bytes.Repeat([]byte{'x'}, limit+1))
				for _, chunks := range [][][]byte{{past}, dribble(past)} {
					got, err = decode(t, f.framing, limit, chunks...)
					require.ErrorIs(t, err, chanio.ErrMessageTooLarge)
					require.Empty(t, got)
				}
			}
		})
	}
}

func TestLinesTakesLFAndCRLF(t *testing.T) {
	for _, tt := range []struct {
		name, wire string
		want       []string
	}{
		{"nothing", "", nil},
		{"LF", "a\nb\n", []string{"a", "b"}},
		{"CRLF", "a\r\nb\r\n", []string{"a", "b"}},
		{"empty lines", "\n\r\n\n", []string{"", "", ""}},
		{"a carriage return inside", "a\rb\n", []string{"a\rb"}},
		{"one carriage return of many", "a\r\r\n", []string{"a\r"}},
		{"unterminated", "a\nb", []string{"a", "b"}},
		{"unterminated before its LF", "a\nb\r", []string{"a", "b"}},
		{"unterminated and empty", "a\n\r", []string{"a", ""}},
		{"not valid UTF-8", "\xff\xfe\n", []string{"\xff\xfe"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, chunks := range [][][]byte{{[]byte(tt.wire)}, dribble([]byte(tt.wire))} {
				got, err := decode(t, chanio.Lines{Unterminated: true}, 3, chunks...)
				require.NoError(t, err)
				require.Equal(t, tt.want, got)
			}
		})
	}
}

func TestLinesSendsCRLFIfAsked(t *testing.T) {
	for message, want := range map[string]string{"": "\r\n", "a": "a\r\n", "a\r": "a\r\r\n"} {
		wire, err := chanio.Lines{CRLF: true}.AppendFrame(nil, []byte(message))
		require.NoError(t, err)
		require.Equal(t, want, string(wire))
		got, n, err := chanio.Lines{CRLF: true}.Next(wire, 10)
		require.NoError(t, err)
		require.Equal(t, len(wire), n)
		require.Equal(t, message, string(got))
	}
	_, err := chanio.Lines{CRLF: true}.AppendFrame(nil, []byte("a\nb"))
	require.Error(t, err)
}

func TestLinesSendsLF(t *testing.T) {
	for _, tt := range []struct{ name, message, wire string }{
		{"text", "hello", "hello\n"},
		{"empty", "", "\n"},
		{"a carriage return inside", "a\rb", "a\rb\n"},
		{"but CRLF after a carriage return, which LF alone would swallow", "a\r", "a\r\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := chanio.Lines{}.AppendFrame([]byte("before "), []byte(tt.message))
			require.NoError(t, err)
			require.Equal(t, "before "+tt.wire, string(got))
		})
	}
}

func TestUnterminatedMessageIsTooLargeAtTheByteThatMakesItSo(t *testing.T) {
	for _, tt := range []struct {
		name      string
		framing   chanio.Framing
		fits, bad string
	}{
		{"lines", chanio.Lines{}, "abc", "abcd"},
		{"lines, maybe before LF", chanio.Lines{}, "abc\r", "abc\r\r"},
		{"lines, a carriage return inside", chanio.Lines{}, "ab\r", "ab\rd"},
		{"delimiter", chanio.Delimiter{}, "abc", "abcd"},
		{"delimiter LF strips nothing", chanio.Delimiter{Byte: '\n'}, "ab\r", "abc\r"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			message, n, err := tt.framing.Next([]byte(tt.fits), 3)
			require.NoError(t, err)
			require.Zero(t, n)
			require.Nil(t, message)
			_, _, err = tt.framing.Next([]byte(tt.bad), 3)
			require.ErrorIs(t, err, chanio.ErrMessageTooLarge)
			require.ErrorContains(t, err, "4 bytes, the limit is 3")
		})
	}
}

func TestMessageThatHoldsItsDelimiterIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name    string
		framing chanio.Framing
		message string
		err     string
	}{
		{"lines", chanio.Lines{}, "two\nlines", "chanio: lines: message has a newline at byte 3"},
		{"lines, at the end", chanio.Lines{}, "line\r\n", "chanio: lines: message has a newline at byte 5"},
		{"NUL", chanio.Delimiter{}, "\x00", "chanio: delimiter: message has the delimiter 0x00 at byte 0"},
		{"semicolon", chanio.Delimiter{Byte: ';'}, "a;b", "chanio: delimiter: message has the delimiter 0x3b at byte 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dst, err := tt.framing.AppendFrame([]byte("before"), []byte(tt.message))
			require.EqualError(t, err, tt.err)
			require.Equal(t, "before", string(dst))
			require.EqualError(t, chanio.Accepts(chanio.CodecOf(tt.framing), []byte(tt.message)), tt.err)
		})
	}
}

func TestScanNeverLooksAtAByteTwice(t *testing.T) {
	// The delimiter in the part already seen must not be found.
	for _, tt := range []struct {
		name    string
		framing chanio.Framing
		buf     string
	}{
		{"lines", chanio.Lines{}, "\nabc"},
		{"delimiter", chanio.Delimiter{}, "\x00abc"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, n, need, err := chanio.Scan(chanio.CodecOf(tt.framing), []byte(tt.buf), 1, 10)
			require.NoError(t, err)
			require.Zero(t, n)
			require.Equal(t, 5, need)
		})
	}
}

func TestScanNeedsTheWholeFrameOnceItKnowsTheHeader(t *testing.T) {
	for _, tt := range []struct {
		name    string
		framing chanio.Framing
		buf     string
		need    int
	}{
		{"no header yet", chanio.LengthPrefix{}, "\x00", 4},
		{"header alone", chanio.LengthPrefix{}, "\x00\x00\x01\x00", 260},
		{"header and some", chanio.LengthPrefix{}, "\x00\x00\x01\x00abc", 260},
		{"with header", chanio.LengthPrefix{Size: 2, IncludesHeader: true}, "\x01\x00abc", 256},
		{"no varint yet", chanio.LengthPrefix{Varint: true}, "\x80", 2},
		{"varint", chanio.LengthPrefix{Varint: true}, "\x80\x02", 258},
		{"lines", chanio.Lines{}, "abc", 4},
		{"a user's", netstring{}, "256:", 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, n, need, err := chanio.Scan(chanio.CodecOf(tt.framing), []byte(tt.buf), 0, 256)
			require.NoError(t, err)
			require.Zero(t, n)
			require.Equal(t, tt.need, need)
		})
	}
}

// terminated reports whether f takes no message without its end.
func terminated(f chanio.Framing) bool {
	return f != (chanio.Lines{Unterminated: true}) && f != (chanio.Delimiter{Byte: ';', Unterminated: true})
}

func TestEndOfStreamInsideAMessage(t *testing.T) {
	for _, f := range framings() {
		t.Run(f.name, func(t *testing.T) {
			wire, _ := encode(t, f.framing, []byte("whole"), []byte("half"))
			got, err := decode(t, f.framing, 100, wire[:len(wire)-1])
			switch f.framing.(type) {
			case chanio.Lines, chanio.Delimiter:
				if terminated(f.framing) {
					break
				}
				require.NoError(t, err)
				require.Equal(t, []string{"whole", "half"}, got)
				return
			}
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.Equal(t, []string{"whole"}, got)
		})
	}
}

// wild is a user's Framing that returns whatever it was set to return.
type wild struct {
	message []byte
	n       int
	err     error
}

func (f wild) AppendFrame(dst, _ []byte) ([]byte, error) { return dst, f.err }
func (f wild) Next([]byte, int) ([]byte, int, error)     { return f.message, f.n, f.err }

func TestAUsersFramingIsNotTrusted(t *testing.T) {
	for _, tt := range []struct {
		name  string
		next  wild
		buf   int
		err   error
		text  string
		wants int
	}{
		{name: "takes more than there is", next: wild{n: 11}, buf: 10, text: "chanio: framing chanio_test.wild: Next took 11 of 10 bytes"},
		{name: "takes less than nothing", next: wild{n: -1}, buf: 10, text: "chanio: framing chanio_test.wild: Next took -1 of 10 bytes"},
		{name: "ignores the limit", next: wild{message: make([]byte, 9), n: 10}, buf: 10, err: chanio.ErrMessageTooLarge},
		{name: "has an error of its own", next: wild{n: 10, err: io.ErrNoProgress}, buf: 10, err: io.ErrNoProgress},
		{name: "waits for more", next: wild{}, buf: 8 + chanio.MaxOverhead - 1, wants: 8 + chanio.MaxOverhead},
		{name: "waits for ever", next: wild{}, buf: 8 + chanio.MaxOverhead, err: chanio.ErrMessageTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, n, need, err := chanio.Scan(chanio.CodecOf(tt.next), make([]byte, tt.buf), 0, 8)
			require.Zero(t, n)
			require.Equal(t, tt.wants, need)
			if tt.err != nil {
				require.ErrorIs(t, err, tt.err)
			}
			if tt.text != "" {
				require.EqualError(t, err, tt.text)
			}
			if tt.wants != 0 {
				require.NoError(t, err)
			}
		})
	}
}

func TestUserFramingRefusesForItself(t *testing.T) {
	require.Equal(t, io.ErrShortWrite, chanio.Accepts(chanio.CodecOf(wild{err: io.ErrShortWrite}), nil))
	require.NoError(t, chanio.Accepts(chanio.CodecOf(wild{}), nil))
}

// shouted embeds one of the library's framings and changes it.
type shouted struct{ chanio.Lines }

func (f shouted) Next(buf []byte, max int) ([]byte, int, error) {
	message, n, err := f.Lines.Next(buf, max)
	return bytes.ToUpper(message), n, err
}

func TestFramingThatEmbedsOneOfOursKeepsItsOwnMethods(t *testing.T) {
	for _, f := range []chanio.Framing{shouted{}, &shouted{}} {
		message, n, _, err := chanio.Scan(chanio.CodecOf(f), []byte("hey\n"), 0, 10)
		require.NoError(t, err)
		require.Equal(t, 4, n)
		require.Equal(t, "HEY", string(message))
	}
}

func TestFramingByPointerIsTheSame(t *testing.T) {
	for _, f := range []chanio.Framing{&chanio.Lines{}, &chanio.Delimiter{}, &chanio.LengthPrefix{Size: 2}} {
		if chanio.IsUsers(chanio.CodecOf(f)) {
			t.Errorf("%T is taken for a user's", f)
		}
		requireRoundTrip(t, f, []byte("a"), nil, []byte("b"))
	}
	require.Nil(t, chanio.CodecOf(nil), "a raw stream")
}

func TestFramingAllocatesNothingForAMessage(t *testing.T) {
	message := []byte(strings.Repeat("x", 32))
	for _, f := range framings() {
		t.Run(f.name, func(t *testing.T) {
			c := chanio.CodecOf(f.framing)
			wire, _ := encode(t, f.framing, message)
			room := make([]byte, 0, 2*len(wire))
			require.Zero(t, testing.AllocsPerRun(100, func() {
				_, _ = c.AppendFrame(room, message)
				_, _, _ = c.Next(wire, 32)
				_, _, _, _ = chanio.Scan(c, wire[:len(wire)-1], 0, 32)
			}))
			if !chanio.IsUsers(c) {
				require.Zero(t, testing.AllocsPerRun(100, func() { _ = chanio.Accepts(c, message) }))
			}
		})
	}
}
