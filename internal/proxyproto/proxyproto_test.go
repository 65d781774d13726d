package proxyproto

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// header2 builds a header of version 2.
func header2(command, family byte, body string) string {
	h := []byte(signature + string([]byte{0x20 | command, family}))
	return string(binary.BigEndian.AppendUint16(h, uint16(len(body)))) + body
}

func tlv(kind byte, value string) string {
	return string(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value)))) + value
}

// withChecksum adds a checksum, in which the bits of wrong are flipped.
func withChecksum(family byte, body string, wrong uint32) string {
	h := []byte(header2(commandProxy, family, body+tlv(typeCRC32C, "\x00\x00\x00\x00")))
	sum := crc32.Checksum(h, crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(h[len(h)-4:], sum^wrong)
	return string(h)
}

const (
	body4 = "\xc0\x00\x02\x01\xc0\x00\x02\x02\x30\x39\x00\x50"
	body6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02" + "\x30\x39\x00\x50"
)

const allOnes = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

var bodyUnix = pad("/run/client", 108) + pad("/run/server", 108)

func pad(s string, n int) string { return s + strings.Repeat("\x00", n-len(s)) }

// headers are valid headers, with what they say.
var headers = []struct{ name, header, source, destination string }{
	{"v1 TCP4", "PROXY TCP4 192.0.2.1 192.0.2.2 12345 80\r\n", "192.0.2.1:12345", "192.0.2.2:80"},
	{"v1 shortest TCP4", "PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0", "0.0.0.0:0"},
	{"v1 TCP6", "PROXY TCP6 2001:db8::1 2001:db8::2 12345 80\r\n", "[2001:db8::1]:12345", "[2001:db8::2]:80"},
	{"v1 shortest TCP6", "PROXY TCP6 :: :: 0 0\r\n", "[::]:0", "[::]:0"},
	{"v1 longest TCP6", "PROXY TCP6 " + allOnes + " " + allOnes + " 65535 65535\r\n", "[" + allOnes + "]:65535", "[" + allOnes + "]:65535"},
	{"v1 UNKNOWN", "PROXY UNKNOWN\r\n", "", ""},
	{"v1 UNKNOWN with more", "PROXY UNKNOWN " + strings.Repeat("x", maxLine-len("PROXY UNKNOWN \r\n")) + "\r\n", "", ""},
	{"v2 TCP4", header2(commandProxy, tcp4, body4), "192.0.2.1:12345", "192.0.2.2:80"},
	{"v2 UDP4", header2(commandProxy, udp4, body4), "192.0.2.1:12345", "192.0.2.2:80"},
	{"v2 TCP6", header2(commandProxy, tcp6, body6), "[2001:db8::1]:12345", "[2001:db8::2]:80"},
	{"v2 unix", header2(commandProxy, unixStream, bodyUnix), "/run/client", "/run/server"},
	{"v2 unix without names", header2(commandProxy, unixStream, pad("", 216)), "", ""},
	{"v2 unix, abstract", header2(commandProxy, unixStream, pad("\x00a", 108)+pad("\x00b", 108)), "@a", "@b"},
	{"v2 with TLVs", header2(commandProxy, tcp4, body4+tlv(0x02, "example.com")+tlv(0x04, "")), "192.0.2.1:12345", "192.0.2.2:80"},
	{"v2 with the largest TLV", header2(commandProxy, tcp4, body4+tlv(0xe0, strings.Repeat("x", 65535-12-3))), "192.0.2.1:12345", "192.0.2.2:80"},
	{"v2 with a checksum", withChecksum(tcp4, body4+tlv(0x04, "xx"), 0), "192.0.2.1:12345", "192.0.2.2:80"},
	{"v2 LOCAL", header2(commandLocal, familyUnspec, ""), "", ""},
	{"v2 LOCAL with an address", header2(commandLocal, tcp4, body4), "", ""},
	{"v2 UNSPEC", header2(commandProxy, familyUnspec, "whatever"), "", ""},
}

func text(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

func TestReadTakesTheHeaderAndNotAByteMore(t *testing.T) {
	const after = "PROXY and what follows\r\n"
	for _, test := range headers {
		t.Run(test.name, func(t *testing.T) {
			for name, reader := range map[string]func(io.Reader) io.Reader{
				"at once":         func(r io.Reader) io.Reader { return r },
				"a byte a time":   iotest.OneByteReader,
				"data beside EOF": iotest.DataErrReader,
			} {
				r := reader(strings.NewReader(test.header + after))
				h, err := Read(r)
				require.NoError(t, err, name)
				require.Equal(t, test.source, text(h.Source))
				require.Equal(t, test.destination, text(h.Destination))
				rest, err := io.ReadAll(r)
				require.NoError(t, err)
				require.Equal(t, after, string(rest), name)
			}
		})
	}
}

func TestATruncatedHeaderIsAnError(t *testing.T) {
	for _, test := range headers {
		for n := range min(len(test.header), 300) {
			_, err := Read(strings.NewReader(test.header[:n]))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%s after %d bytes", test.name, n)
		}
	}
}

func TestOtherInputIsNotAHeader(t *testing.T) {
	for name, input := range map[string]string{
		"another protocol":           "GET / HTTP/1.1\r\n\r\n",
		"TLS":                        "\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03",
		"one byte of one":            "x",
		"v1 of 108 bytes":            "PROXY UNKNOWN " + strings.Repeat("x", maxLine+1-len("PROXY UNKNOWN \r\n")) + "\r\n",
		"v1 without an end":          "PROXY TCP4 " + strings.Repeat("1", 500),
		"v1 with LF":                 "PROXY TCP4 192.0.2.1 192.0.2.2 12345 80\nxx",
		"v1 with CR inside":          "PROXY TCP4 192.0.2.1\r 192.0.2.2 12345 80\r\n",
		"v1 of a wrong family":       "PROXY TCP4 2001:db8::1 2001:db8::2 12345 80\r\n",
		"v1 TCP6 with IPv4":          "PROXY TCP6 192.0.2.1 192.0.2.2 12345 80\r\n",
		"v1 with a zone":             "PROXY TCP6 fe80::1%lo fe80::2 12345 80\r\n",
		"v1 with a name":             "PROXY TCP4 localhost 192.0.2.2 12345 80\r\n",
		"v1 with a port above 65535": "PROXY TCP4 192.0.2.1 192.0.2.2 65536 80\r\n",
		"v1 with a leading zero":     "PROXY TCP4 192.0.2.1 192.0.2.2 012345 80\r\n",
		"v1 with a sign":             "PROXY TCP4 192.0.2.1 192.0.2.2 +1234 80\r\n",
		"v1 with two spaces":         "PROXY TCP4  192.0.2.1 192.0.2.2 12345 80\r\n",
		"v1 with a field more":       "PROXY TCP4 192.0.2.1 192.0.2.2 12345 80 1\r\n",
		"v1 of another protocol":     "PROXY UDP4 192.0.2.1 192.0.2.2 12345 80\r\n",
		"v1 in small letters":        "proxy tcp4 192.0.2.1 192.0.2.2 12345 80\r\n",
		"v2 of version 1":            signature + "\x11\x11\x00\x0c" + body4,
		"v2 with command 2":          header2(2, tcp4, body4),
		"v2 of a family unknown":     header2(commandProxy, 0x41, body4),
		"v2 of a transport unknown":  header2(commandProxy, 0x13, body4),
		"v2 too short":               header2(commandProxy, tcp4, body4[:11]),
		"v2 with a cut TLV":          header2(commandProxy, tcp4, body4+"\x04\x00"),
		"v2 with a TLV too long":     header2(commandProxy, tcp4, body4+"\x04\x00\x02x"),
		"v2 with a wrong checksum":   withChecksum(tcp4, body4, 1),
		"v2 with half a checksum":    header2(commandProxy, tcp4, body4+tlv(typeCRC32C, "xx")),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(strings.NewReader(input + strings.Repeat(" ", 100)))
			require.ErrorIs(t, err, ErrInvalid)
		})
	}
}

// FuzzRead checks that no input makes Read panic, read past the header, or hold
// more than what has come, and that Read accepts again whatever it has
// accepted.
func FuzzRead(f *testing.F) {
	for _, test := range headers {
		f.Add([]byte(test.header + "after"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		h, err := Read(r)
		used := data[:len(data)-r.Len()]
		again, errAgain := Read(iotest.OneByteReader(bytes.NewReader(data)))
		require.Equal(t, err == nil, errAgain == nil)
		if err != nil {
			return
		}
		require.Equal(t, h, again)
		whole, err := Read(bytes.NewReader(used))
		require.NoError(t, err)
		require.Equal(t, h, whole)
		require.LessOrEqual(t, len(used), 16+65535)
		if used[0] == 'P' {
			require.LessOrEqual(t, len(used), maxLine)
		}
	})
}
