package chanio_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestLengthPrefixOnTheWire(t *testing.T) {
	for _, tt := range []struct {
		name    string
		framing chanio.LengthPrefix
		payload int
		header  string
	}{
		{"default", chanio.LengthPrefix{}, 5, "00000005"},
		{"1 byte", chanio.LengthPrefix{Size: 1}, 255, "ff"},
		{"1 byte with header", chanio.LengthPrefix{Size: 1, IncludesHeader: true}, 254, "ff"},
		{"2 bytes", chanio.LengthPrefix{Size: 2}, 258, "0102"},
		{"2 bytes, little-endian", chanio.LengthPrefix{Size: 2, LittleEndian: true}, 258, "0201"},
		{"2 bytes with header", chanio.LengthPrefix{Size: 2, IncludesHeader: true}, 258, "0104"},
		{"4 bytes, little-endian", chanio.LengthPrefix{Size: 4, LittleEndian: true}, 258, "02010000"},
		{"4 bytes, little-endian, with header", chanio.LengthPrefix{LittleEndian: true, IncludesHeader: true}, 258, "06010000"},
		{"8 bytes", chanio.LengthPrefix{Size: 8}, 258, "0000000000000102"},
		{"8 bytes, little-endian", chanio.LengthPrefix{Size: 8, LittleEndian: true}, 258, "0201000000000000"},
		{"8 bytes with header", chanio.LengthPrefix{Size: 8, IncludesHeader: true}, 0, "0000000000000008"},
		{"varint", chanio.LengthPrefix{Varint: true}, 127, "7f"},
		{"varint of two bytes", chanio.LengthPrefix{Varint: true}, 300, "ac02"},
		{"varint with header, empty", chanio.LengthPrefix{Varint: true, IncludesHeader: true}, 0, "01"},
		{"varint with header, the last of one byte", chanio.LengthPrefix{Varint: true, IncludesHeader: true}, 126, "7f"},
		{"varint with header, the first of two", chanio.LengthPrefix{Varint: true, IncludesHeader: true}, 127, "8101"},
		{"varint with header, the last of two", chanio.LengthPrefix{Varint: true, IncludesHeader: true}, 1<<14 - 3, "ff7f"},
		{"varint with header, the first of three", chanio.LengthPrefix{Varint: true, IncludesHeader: true}, 1<<14 - 2, "818001"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			payload := bytes.Repeat([]byte{'x'}, tt.payload)
			got, err := tt.framing.AppendFrame(nil, payload)
			require.NoError(t, err)
			require.Equal(t, tt.header+hex.EncodeToString(payload), hex.EncodeToString(got))
		})
	}
}

func TestLengthPrefixRefusesWhatItsHeaderCannotSay(t *testing.T) {
	for _, tt := range []struct {
		name    string
		framing chanio.LengthPrefix
		payload int
		err     string
	}{
		{"1 byte", chanio.LengthPrefix{Size: 1}, 256, "chanio: message too large: 256 bytes do not fit a length of 1 bytes"},
		{"1 byte with header", chanio.LengthPrefix{Size: 1, IncludesHeader: true}, 255, "chanio: message too large: 255 bytes do not fit a length of 1 bytes"},
		{"2 bytes", chanio.LengthPrefix{Size: 2}, 65536, "chanio: message too large: 65536 bytes do not fit a length of 2 bytes"},
		{"2 bytes with header", chanio.LengthPrefix{Size: 2, IncludesHeader: true}, 65534, "chanio: message too large: 65534 bytes do not fit a length of 2 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dst, err := tt.framing.AppendFrame([]byte("before"), make([]byte, tt.payload))
			require.ErrorIs(t, err, chanio.ErrMessageTooLarge)
			require.EqualError(t, err, tt.err)
			require.Equal(t, "before", string(dst))
		})
	}
}

func TestLengthPrefixRefusesHeader(t *testing.T) {
	const ff8 = "\xff\xff\xff\xff\xff\xff\xff\xff"
	for _, tt := range []struct {
		name     string
		framing  chanio.LengthPrefix
		limit    int
		wire     string
		tooLarge bool
		err      string
	}{
		{"past the limit", chanio.LengthPrefix{}, 4, "\x00\x00\x00\x05", true, "chanio: message too large: 5 bytes, the limit is 4"},
		{"past the limit without the header", chanio.LengthPrefix{Size: 1, IncludesHeader: true}, 4, "\x06", true, "chanio: message too large: 5 bytes, the limit is 4"},
		{"4 GiB", chanio.LengthPrefix{}, 1 << 20, "\xff\xff\xff\xff", true, "chanio: message too large: 4294967295 bytes, the limit is 1048576"},
		{"more than an int", chanio.LengthPrefix{Size: 8}, math.MaxInt, ff8, true, ""},
		{"the sign bit of an int", chanio.LengthPrefix{Size: 8}, math.MaxInt, "\x80\x00\x00\x00\x00\x00\x00\x00", true, ""},
		{"more than an int with the header", chanio.LengthPrefix{Size: 8}, math.MaxInt, "\x7f\xff\xff\xff\xff\xff\xff\xff", true, ""},
		{"more than an int, little-endian", chanio.LengthPrefix{Size: 8, LittleEndian: true}, math.MaxInt, ff8, true, ""},
		{"more than an int as a varint", chanio.LengthPrefix{Varint: true}, math.MaxInt, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", true, ""},
		{"more than 64 bits as a varint", chanio.LengthPrefix{Varint: true}, math.MaxInt, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", true, "chanio: message too large: a varint length of more than 64 bits"},
		{"a varint that does not end", chanio.LengthPrefix{Varint: true}, math.MaxInt, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", true, "chanio: message too large: a varint length of more than 64 bits"},
		{"any limit is at least 0", chanio.LengthPrefix{}, -1, "\x00\x00\x00\x00", true, ""},
		{"header missing from the length", chanio.LengthPrefix{IncludesHeader: true}, 9, "\x00\x00\x00\x03", false, "chanio: length prefix: length 3 is less than its header of 4 bytes"},
		{"header missing from the varint", chanio.LengthPrefix{Varint: true, IncludesHeader: true}, 9, "\x00", false, "chanio: length prefix: length 0 is less than its header of 1 bytes"},
		{"a longer varint than needed", chanio.LengthPrefix{Varint: true}, 9, "\x85\x00", false, "chanio: length prefix: varint 5 takes 2 bytes, not 1"},
		{"a much longer varint than needed", chanio.LengthPrefix{Varint: true}, 9, "\x80\x80\x80\x00", false, "chanio: length prefix: varint 0 takes 4 bytes, not 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, rest := range []string{"", "and more"} {
				message, n, err := tt.framing.Next([]byte(tt.wire+rest), tt.limit)
				require.Error(t, err)
				require.Equal(t, tt.tooLarge, errors.Is(err, chanio.ErrMessageTooLarge), "%v", err)
				if tt.err != "" {
					require.EqualError(t, err, tt.err)
				}
				require.Zero(t, n)
				require.Nil(t, message)
			}
			// The header's last byte tells, not an earlier one.
			got, err := decode(t, tt.framing, tt.limit, []byte(tt.wire[:len(tt.wire)-1]))
			if len(tt.wire) > 1 {
				require.Equal(t, io.ErrUnexpectedEOF, err)
			}
			require.Empty(t, got)
		})
	}
}

func TestVarintWithHeaderMayUseOneByteMoreThanNeeded(t *testing.T) {
	// Our senders never say 128, because 126 bytes fit after a header of one
	// byte. It is a frame of 128 bytes nonetheless.
	wire := append([]byte{0x80, 0x01}, bytes.Repeat([]byte{'x'}, 126)...)
	message, n, err := chanio.LengthPrefix{Varint: true, IncludesHeader: true}.Next(wire, 126)
	require.NoError(t, err)
	require.Equal(t, 128, n)
	require.Len(t, message, 126)
}

func TestHugeLengthAllocatesNothingForIt(t *testing.T) {
	const rounds = 100
	for _, tt := range []struct {
		name    string
		framing chanio.Framing
		wire    string
	}{
		{"4 GiB", chanio.LengthPrefix{}, "\xff\xff\xff\xff"},
		{"64 bits", chanio.LengthPrefix{Size: 8}, "\xff\xff\xff\xff\xff\xff\xff\xff"},
		{"varint", chanio.LengthPrefix{Varint: true}, "\xff\xff\xff\xff\xff\x7f"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range rounds {
				if _, _, err := tt.framing.Next([]byte(tt.wire), 1<<20); err == nil {
					t.Fatal("no error")
				}
			}
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), "bytes for %d headers", rounds)
		})
	}
}

func TestOptionErrorsNameTheInvalidFieldOfAFraming(t *testing.T) {
	for _, tt := range []struct {
		name    string
		framing chanio.LengthPrefix
		err     string
	}{
		{"size 3", chanio.LengthPrefix{Size: 3}, "LengthPrefix.Size = 3 must be 1, 2, 4 or 8"},
		{"negative size", chanio.LengthPrefix{Size: -1}, "LengthPrefix.Size = -1 must be 1, 2, 4 or 8"},
		{"varint with a size", chanio.LengthPrefix{Varint: true, Size: 4}, "LengthPrefix.Size = 4 can't be set with Varint"},
		{"varint with an order", chanio.LengthPrefix{Varint: true, LittleEndian: true}, "LengthPrefix.LittleEndian can't be set with Varint"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := (&chanio.Options{Framing: tt.framing}).Resolve(false)
			require.EqualError(t, err, "chanio: option Framing: "+tt.err)
			_, err = tt.framing.AppendFrame(nil, nil)
			require.EqualError(t, err, "chanio: framing: "+tt.err)
			_, _, err = tt.framing.Next([]byte("12345678"), 1)
			require.EqualError(t, err, "chanio: framing: "+tt.err)
		})
	}
	for _, f := range framings() {
		_, err := (&chanio.Options{Framing: f.framing}).Resolve(false)
		require.NoError(t, err, f.name)
	}
}
