package ws

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/klauspost/compress/flate"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// A protocolCase is what a client sends to an echo server, and what must come
// back, in the manner of the Autobahn test suite. The names begin with its
// section numbers.
type protocolCase struct {
	name  string
	send  [][]byte
	want  []got
	close ws.StatusCode // the close that comes after it; 0: none, and the client closes
}

func frames(f ...[]byte) [][]byte { return f }

// echoes returns the echoes of messages: Handlers send binary unless Text is
// set.
func echoes(messages ...string) (want []got) {
	for _, m := range messages {
		want = append(want, got{ws.OpBinary, m, 0})
	}
	return want
}

func pong(p string) got { return got{ws.OpPong, p, 0} }

// framingCases are sections 1 and 9: messages of all lengths.
func framingCases() (cases []protocolCase) {
	for _, n := range []int{0, 1, 125, 126, 127, 128, 65535, 65536, 1 << 20} {
		m := randomText(n)
		cases = append(cases,
			protocolCase{fmt.Sprintf("1.1 text of %d", n), frames(text(m)), echoes(m), 0},
			protocolCase{fmt.Sprintf("1.2 binary of %d", n), frames(binaryFrame(m)), echoes(m), 0})
	}
	big := randomText(1 << 20)
	for _, size := range []int{64, 1000, 4096, 65536} {
		parts := frames(first(ws.OpText, ""))
		for rest := big; rest != ""; rest = rest[min(size, len(rest)):] {
			parts = append(parts, next(rest[:min(size, len(rest))]))
		}
		parts = append(parts, last(""))
		cases = append(cases, protocolCase{fmt.Sprintf("9.3 a text in fragments of %d", size), parts, echoes(big), 0})
	}
	return append(cases,
		protocolCase{"9.1 one byte more than MaxMessage", frames(binaryFrame(big + "x")), nil, StatusTooBig},
		protocolCase{"9.2 one byte more in fragments", frames(first(ws.OpBinary, big), last("x")), nil, StatusTooBig})
}

// controlCases are sections 2 to 5: pings, reserved bits, opcodes, fragments.
func controlCases() []protocolCase {
	full := strings.Repeat("p", 125)
	cases := []protocolCase{
		{"2.1 an empty ping", frames(ping("")), []got{pong("")}, 0},
		{"2.2 a ping with a payload", frames(ping("hello")), []got{pong("hello")}, 0},
		{"2.3 a ping of binary", frames(ping("\x00\xff\xfe\xfd")), []got{pong("\x00\xff\xfe\xfd")}, 0},
		{"2.4 a ping of 125", frames(ping(full)), []got{pong(full)}, 0},
		{"2.5 a ping of 126", frames(ping(full + "p")), nil, StatusProtocolError},
		{"2.7 an unsolicited pong", frames(frame(true, 0, ws.OpPong, "x"), ping("y")), []got{pong("y")}, 0},
		{"2.10 ten pings", frames(ping("0"), ping("1"), ping("2"), ping("3"), ping("4"), ping("5"), ping("6"), ping("7"), ping("8"), ping("9")),
			[]got{pong("0"), pong("1"), pong("2"), pong("3"), pong("4"), pong("5"), pong("6"), pong("7"), pong("8"), pong("9")}, 0},
		{"5.1 a ping in fragments", frames(frame(false, 0, ws.OpPing, "a"), last("b")), nil, StatusProtocolError},
		{"5.2 a pong in fragments", frames(frame(false, 0, ws.OpPong, "a"), last("b")), nil, StatusProtocolError},
		{"5.3 a text in fragments", frames(first(ws.OpText, "a"), last("b")), echoes("ab"), 0},
		{"5.6 a ping between fragments", frames(first(ws.OpText, "a"), ping("p"), last("b")), append([]got{pong("p")}, echoes("ab")...), 0},
		{"5.9 a continuation of nothing", frames(last("a"), text("b")), nil, StatusProtocolError},
		{"5.15 a continuation after the end", frames(first(ws.OpText, "a"), last("b"), next("c"), text("d")), echoes("ab"), StatusProtocolError},
		{"5.18 a text within a text", frames(first(ws.OpText, "a"), text("b")), nil, StatusProtocolError},
		{"5.19 pings between many fragments", frames(first(ws.OpText, "1"), next("2"), ping("p"), next("3"), next("4"), ping("q"), last("5")),
			append([]got{pong("p"), pong("q")}, echoes("12345")...), 0},
		{"5.20 empty fragments", frames(first(ws.OpText, ""), next(""), last("")), echoes(""), 0},
	}
	for _, rsv := range []byte{1, 2, 3, 4, 5, 6, 7} {
		for _, op := range []ws.OpCode{ws.OpText, ws.OpPing, ws.OpClose} {
			cases = append(cases, protocolCase{fmt.Sprintf("3.%d reserved bits of opcode %d", rsv, op), frames(frame(true, rsv, op, "")), nil, StatusProtocolError})
		}
	}
	for _, op := range []ws.OpCode{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		cases = append(cases,
			protocolCase{fmt.Sprintf("4.1 reserved opcode %d", op), frames(text("a"), frame(true, 0, op, ""), ping("p")), echoes("a"), StatusProtocolError},
			protocolCase{fmt.Sprintf("4.2 reserved opcode %d with a payload", op), frames(frame(true, 0, op, "x")), nil, StatusProtocolError})
	}
	return cases
}

// utf8Cases are section 6.
func utf8Cases() (cases []protocolCase) {
	for _, good := range []string{"κόσμε", "\u0000", "\u0080", "\u07ff", "\u0800", "\uffff", "\U00010000", "\U0010ffff", "\ud7ff", "\ue000", "\ufffd", "Hello-µ@ßöäüàá-UTF-8!!"} {
		cases = append(cases, protocolCase{fmt.Sprintf("6.2 valid %q", good), frames(text(good)), echoes(good), 0})
		parts := frames(first(ws.OpText, ""))
		for i := range len(good) {
			parts = append(parts, next(good[i:i+1]))
		}
		cases = append(cases, protocolCase{fmt.Sprintf("6.2 valid %q byte by byte", good), append(parts, last("")), echoes(good), 0})
	}
	for _, bad := range []string{
		"κόσμε\xed\xa0\x80edited", "\xf4\x90\x80\x80", "\x80", "\xbf", "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xc1\xbf", "\xe0\x9f\xbf",
		"\xfe", "\xff", "\xf8\x88\x80\x80\x80", "\xed\xbf\xbf", "\xce", "\xe2\x82", "\xf0\x90\x8d", "\xed\xad\xbf\xed\xbf\xbf",
	} {
		cases = append(cases,
			protocolCase{fmt.Sprintf("6.3 invalid %q", bad), frames(text(bad)), nil, StatusInvalidPayload},
			protocolCase{fmt.Sprintf("6.3 invalid %q in fragments", bad), frames(first(ws.OpText, bad[:1]), last(bad[1:])), nil, StatusInvalidPayload},
			protocolCase{fmt.Sprintf("6.3 %q is fine as binary", bad), frames(binaryFrame(bad)), echoes(bad), 0})
	}
	return append(cases,
		protocolCase{"6.4 invalid in a fragment that others would follow", frames(first(ws.OpText, "κ\xce"), next("\xffx")), nil, StatusInvalidPayload})
}

// closeCases are section 7.
func closeCases() []protocolCase {
	reason := strings.Repeat("r", 123)
	cases := []protocolCase{
		{"7.1 a close after a message", frames(text("a"), closing(1000, "")), echoes("a"), StatusNormal},
		{"7.1 data after the close", frames(closing(1000, ""), text("late"), ping("late")), nil, StatusNormal},
		{"7.1 a close in a fragmented message", frames(first(ws.OpText, "a"), closing(1000, ""), last("b")), nil, StatusNormal},
		{"7.3 an empty close", frames(frame(true, 0, ws.OpClose, "")), nil, StatusNoCode},
		{"7.3 a close payload of 1 byte", frames(frame(true, 0, ws.OpClose, "\x03")), nil, StatusProtocolError},
		{"7.3 a close with a reason of 123", frames(closing(1000, reason)), nil, StatusNormal},
		{"7.3 a close with a reason of 124", frames(frame(true, 0, ws.OpClose, "\x03\xe8r"+reason)), nil, StatusProtocolError},
		{"7.3 a close in fragments", frames(frame(false, 0, ws.OpClose, "")), nil, StatusProtocolError},
		{"7.5 a reason that is not UTF-8", frames(closing(1000, "\xce\xba\xed\xa0\x80")), nil, StatusInvalidPayload},
	}
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		cases = append(cases, protocolCase{fmt.Sprintf("7.7 code %d", code), frames(closing(code, "why")), nil, ws.StatusCode(code)})
	}
	for _, code := range []uint16{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999} {
		cases = append(cases, protocolCase{fmt.Sprintf("7.9 forbidden code %d", code), frames(closing(code, "")), nil, StatusProtocolError})
	}
	return cases
}

// hostileCases are cases that Autobahn's client cannot send.
func hostileCases() []protocolCase {
	unmasked := ws.MustCompileFrame(ws.NewTextFrame([]byte("a")))
	return []protocolCase{
		{"no mask", frames(unmasked), nil, StatusProtocolError},
		{"2 bytes for a length of 125", frames(append([]byte{0x82, 0x80 | 126, 0, 125, 1, 2, 3, 4}, make([]byte, 125)...)), nil, StatusProtocolError},
		{"8 bytes for a length of 65535", frames([]byte{0x82, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4}), nil, StatusProtocolError},
		{"a length with its top bit set", frames([]byte{0x82, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}), nil, StatusProtocolError},
		{"a length that no int holds with room", frames([]byte{0x82, 0x80 | 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}), nil, StatusTooBig},
	}
}

func TestProtocolCasesGetTheCodeThatTheRFCNames(t *testing.T) {
	_, url := serve(t, &Options{}, echo)
	for name, cases := range map[string][]protocolCase{
		"framing": framingCases(), "control": controlCases(), "utf8": utf8Cases(), "close": closeCases(), "hostile": hostileCases(),
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range cases {
				for _, chop := range []int{0, 1, 997} {
					if total(c.send) > 200_000 && (chop == 1 || testing.Short()) {
						continue // a byte per write for a megabyte shows nothing more
					}
					t.Run(fmt.Sprintf("%s/chopped %d", c.name, chop), func(t *testing.T) {
						runCase(t, dialRaw(t, url, false), c, chop)
					})
				}
			}
		})
	}
}

func total(frames [][]byte) (n int) {
	for _, f := range frames {
		n += len(f)
	}
	return n
}

// runCase plays c and ends the conversation if c does not.
func runCase(t *testing.T, p *rawPeer, c protocolCase, chop int) {
	t.Helper()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		p.send(c.send, chop)
		if c.close == 0 {
			p.send(frames(closing(1000, "")), 0)
		}
	}()
	defer func() { p.Close(); <-sent }()
	p.t = t
	p.expect(c.want...)
	if c.close == 0 {
		p.expectClose(StatusNormal)
		return
	}
	p.expectClose(c.close)
}

// deflatedFrames compresses a message and makes frames of it, in fragments of
// size bytes.
func deflatedFrames(op ws.OpCode, message string, size int) (out [][]byte) {
	d := deflate([]byte(message))
	defer d.free()
	rest := string(d.out)
	rsv := byte(4)
	for {
		n := min(size, len(rest))
		out = append(out, frame(n == len(rest), rsv, op, rest[:n]))
		rest, rsv, op = rest[n:], 0, ws.OpContinuation
		if rest == "" {
			return out
		}
	}
}

// inflated decompresses a frame's payload.
func inflated(t *testing.T, g got, limit int) string {
	if g.rsv == 0 {
		return g.payload
	}
	require.EqualValues(t, 4, g.rsv)
	m, err := inflate([]byte(g.payload), limit)
	require.NoError(t, err)
	return string(m)
}

func TestCompressedCasesOfAllSizesEcho(t *testing.T) {
	_, url := serve(t, &Options{Compression: &Compression{}, Text: true}, echo)
	for _, n := range []int{0, 1, 16, 64, 127, 128, 256, 1024, 4096, 8192, 32768, 65536, 131072, 1 << 20} {
		for _, m := range []string{strings.Repeat("compress me ", n/12+1)[:n], randomText(n)} {
			for _, size := range []int{1 << 30, 1000} {
				t.Run(fmt.Sprintf("12-13 %d bytes %.8q in fragments of %d", n, m, size), func(t *testing.T) {
					p := dialRaw(t, url, true)
					go p.send(append(deflatedFrames(ws.OpText, m, size), text("plain"), closing(1000, "")), 0)
					g, err := p.receive()
					require.NoError(t, err)
					require.Equal(t, ws.OpText, g.op)
					require.True(t, m == inflated(t, g, 1<<20), "the echo differs")
					if n >= 1024 && m[0] == 'c' {
						require.Less(t, len(g.payload), n/4)
					}
					p.expect(got{ws.OpText, "plain", 0})
					p.expectClose(StatusNormal)
				})
			}
		}
	}
}

// finalBlocks deflates parts, each in a block that is marked as final (RFC 7692,
// section 7.2.3.4).
func finalBlocks(parts ...string) []byte {
	var wire bytes.Buffer
	var before string
	for _, p := range parts {
		w, _ := flate.NewWriterDict(&wire, flate.BestCompression, []byte(before)) // a good level
		io.WriteString(w, p)                                                      // to memory
		w.Close()
		before += p
	}
	return append(wire.Bytes(), 0) // the first byte of the empty block at the end
}

func TestAMessageMayHaveFinalBlocksAnywhere(t *testing.T) {
	long := randomText(40 << 10)
	for _, parts := range [][]string{{"Hello"}, {"Hello", ", Hello, Hello"}, {long, long[5000:], "", long[20000:]}} {
		m, err := inflate(finalBlocks(parts...), 1<<20)
		require.NoError(t, err)
		require.Equal(t, strings.Join(parts, ""), string(m))
	}
	_, err := inflate(finalBlocks(long, long), 60<<10)
	require.ErrorIs(t, err, chanio.ErrMessageTooLarge)
	_, err = inflate(append(finalBlocks("Hello"), "\xff\xff"...), 100)
	require.Error(t, err, "what follows is no block")
	_, err = inflate(finalBlocks(make([]string, 2000)...), 1<<20)
	require.ErrorIs(t, err, errManyFinals)
}

func TestCompressedCasesThatBreakTheProtocol(t *testing.T) {
	h, url := serve(t, &Options{Compression: &Compression{}, Chanio: &chanio.Options{MaxMessage: 100 << 10}}, echo)
	bomb := deflatedFrames(ws.OpBinary, strings.Repeat("\x00", 100<<10+1), 1<<30)
	for _, c := range []protocolCase{
		{"a bomb", bomb, nil, StatusTooBig},
		{"exactly the limit", deflatedFrames(ws.OpBinary, randomText(100<<10), 1<<30), nil, 0},
		{"no deflate data", frames(frame(true, 4, ws.OpBinary, "\xff\xff\xff\xff")), nil, StatusInvalidPayload},
		{"the bit on a continuation", frames(frame(false, 4, ws.OpBinary, ""), frame(true, 4, ws.OpContinuation, "")), nil, StatusProtocolError},
		{"the bit on a ping", frames(frame(true, 4, ws.OpPing, "")), nil, StatusProtocolError},
		{"another bit", frames(frame(true, 6, ws.OpBinary, "")), nil, StatusProtocolError},
		{"text that is not UTF-8 when inflated", deflatedFrames(ws.OpText, strings.Repeat("\xff", 300), 100), nil, StatusInvalidPayload},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.close == 0 {
				p := dialRaw(t, url, true)
				go p.send(append(c.send, closing(1000, "")), 0)
				g, err := p.receive()
				require.NoError(t, err)
				require.Len(t, inflated(t, g, 100<<10), 100<<10)
				p.expectClose(StatusNormal)
				return
			}
			runCase(t, dialRaw(t, url, true), c, 0)
		})
	}
	require.NoError(t, h.Listener().Err())
}
