package natsroom

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"time"
)

// A number identifies a node or what one of its rooms publishes. It is a UUIDv7
// (RFC 9562), which also says when it was made.
type number [16]byte

func newNumber(now time.Time) number {
	var n number
	rand.Read(n[:]) // never fails
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(n[:6], ms[2:])
	n[6] = n[6]&0x0f | 0x70
	n[8] = n[8]&0x3f | 0x80
	return n
}

// made returns when n was made, by the clock of its node.
func (n number) made() time.Time {
	var ms [8]byte
	copy(ms[2:], n[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:])))
}

// String returns the random half; the other half is much the same for all
// numbers.
func (n number) String() string { return hex.EncodeToString(n[8:]) }

// wireVersion is the first byte of everything sent over NATS. It is 1, as no other
// format was ever released; from then on it changes with the format. A packet of
// another version is an EventFailed, and other nodes' presence is ignored.
const wireVersion = 1

var errWire = errors.New("not of this version of natsroom, or damaged")

// A packet is what one NATS message carries to a room: one message, or a batch.
// On the wire: version, flags, source, and as uvarints first, floor, floorAt and
// count, then each message after its length.
type packet struct {
	flags   byte
	source  number
	first   uint64 // the sequence of its first message; a source begins with 1
	floor   uint64 // History: everything up to here is in the stream, before this packet
	floorAt uint64 // ... at or before this sequence of the stream
	count   int
	body    []byte
}

// Flags of packets, in the byte at flagsAt.
const (
	packetAgain = 1 // a resend, which may be in the stream already
	flagsAt     = 1
)

// appendHeader appends p to b without its messages.
func (p *packet) appendHeader(b []byte) []byte {
	b = append(b, wireVersion, p.flags)
	b = append(b, p.source[:]...)
	b = binary.AppendUvarint(b, p.first)
	b = binary.AppendUvarint(b, p.floor)
	b = binary.AppendUvarint(b, p.floorAt)
	return binary.AppendUvarint(b, uint64(p.count))
}

// maxHeader is the largest size of a packet's header.
const maxHeader = 2 + 16 + 4*binary.MaxVarintLen64

func appendMessage(b, m []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(m)))
	return append(b, m...)
}

// messageSize is how many bytes appendMessage appends for a message of n bytes.
func messageSize(n int) int {
	var b [binary.MaxVarintLen64]byte
	return binary.PutUvarint(b[:], uint64(n)) + n
}

// parsePacket parses and checks a packet; it shares b's memory.
func parsePacket(b []byte) (packet, error) {
	r := reader{b: b}
	if r.byte() != wireVersion {
		return packet{}, errWire
	}
	p := packet{flags: r.byte(), source: r.number(), first: r.uvarint(), floor: r.uvarint(), floorAt: r.uvarint()}
	count := r.uvarint()
	if r.bad || p.first == 0 || count == 0 || count > uint64(len(r.b)) {
		return packet{}, errWire
	}
	p.count, p.body = int(count), r.b
	rest, body := p.count, r.b
	for ; rest > 0; rest-- {
		n, size := binary.Uvarint(body)
		if size <= 0 || n > uint64(len(body)-size) {
			break
		}
		body = body[size+int(n):]
	}
	if rest > 0 || len(body) > 0 {
		return packet{}, errWire
	}
	return p, nil
}

// size returns the bytes of p's messages.
func (p *packet) size() (n int) {
	for m := range p.messages(0) {
		n += len(m)
	}
	return n
}

// messages iterates over p's messages except the first skip.
func (p *packet) messages(skip int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		b := p.body // checked by parsePacket
		for i := range p.count {
			n, size := binary.Uvarint(b)
			end := size + int(n)
			if i >= skip && !yield(b[size:end:end]) {
				return
			}
			b = b[end:]
		}
	}
}

// A presence message reports what changed in a node's rooms since the previous
// one.
type presence struct {
	node    number
	seq     uint64
	flags   byte
	stream  uint64 // the stream of the marks of rooms with History
	entries []entry
	asks    []string // rooms whose entries the node asks for
}

// An entry reports one room of a node.
type entry struct {
	name    string
	source  number
	flags   byte
	members uint64
	// mark reveals a loss at the tail: it is the source's next sequence or, with
	// History, the last sequence of the stream that was acknowledged to it.
	mark uint64
}

// Flags of presence messages.
const (
	presenceReset  = 1 << iota // forget what the node reported before: more follows
	presenceAskAll             // all nodes must send everything they have
	presenceBye                // the node is gone
)

// Flags of entries.
const entryHistory = 1

func (p *presence) append(b []byte) []byte {
	b = append(b, wireVersion, p.flags)
	b = append(b, p.node[:]...)
	b = binary.AppendUvarint(b, p.seq)
	b = binary.AppendUvarint(b, p.stream)
	b = binary.AppendUvarint(b, uint64(len(p.entries)))
	for _, e := range p.entries {
		b = appendMessage(b, []byte(e.name))
		b = append(b, e.source[:]...)
		b = append(b, e.flags)
		b = binary.AppendUvarint(b, e.members)
		b = binary.AppendUvarint(b, e.mark)
	}
	b = binary.AppendUvarint(b, uint64(len(p.asks)))
	for _, name := range p.asks {
		b = appendMessage(b, []byte(name))
	}
	return b
}

func parsePresence(b []byte) (presence, error) {
	r := reader{b: b}
	if r.byte() != wireVersion {
		return presence{}, errWire
	}
	p := presence{flags: r.byte(), node: r.number(), seq: r.uvarint(), stream: r.uvarint()}
	for n := r.uvarint(); n > 0 && !r.bad; n-- { // grows with the input, not with n
		p.entries = append(p.entries, entry{
			name: string(r.bytes()), source: r.number(), flags: r.byte(),
			members: min(r.uvarint(), 1<<32), mark: r.uvarint(),
		})
	}
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		p.asks = append(p.asks, string(r.bytes()))
	}
	if r.bad || len(r.b) > 0 {
		return presence{}, fmt.Errorf("a presence message: %w", errWire)
	}
	return p, nil
}

// A reader parses b; bad is set when something was missing.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	m := r.b[:n:n]
	r.b = r.b[n:]
	return m
}

func (r *reader) byte() (c byte) {
	if m := r.take(1); m != nil {
		c = m[0]
	}
	return c
}

func (r *reader) number() (n number) {
	copy(n[:], r.take(uint64(len(n))))
	return n
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes() []byte { return r.take(r.uvarint()) }
