// Package tlsrecord finds the TLS records in a stream of bytes, so that a
// connection under a tls.Conn can give it whole records only. It looks at
// record headers, never at contents.
package tlsrecord

import "encoding/binary"

// HeaderLen is the length of a record's header: type, version, length (RFC 8446,
// 5.1).
const HeaderLen = 5

// MaxLen is the length of the longest record that any version allows, its header
// included (RFC 5246, 6.2.3; TLS 1.3 allows less).
const MaxLen = HeaderLen + 16<<10 + 2<<10

// length returns how many bytes follow a header.
func length(header []byte) int { return int(binary.BigEndian.Uint16(header[3:])) }

// A Place is where a reader is in a stream of records. The zero value is the
// beginning of a record.
type Place struct {
	header [HeaderLen]byte
	seen   int // bytes of header; 0 between two records
	left   int // bytes of the record after its header
}

// Inside reports whether a record has begun that is not whole.
func (p *Place) Inside() bool { return p.seen > 0 }

// Left returns how many bytes follow up to the end of the record, or of its header
// while that is not whole. It is never 0.
func (p *Place) Left() int {
	if p.seen < HeaderLen {
		return HeaderLen - p.seen
	}
	return p.left
}

// Advance moves the place past b, and reports whether a record ended there.
func (p *Place) Advance(b []byte) (ended bool) {
	for len(b) > 0 {
		if p.seen < HeaderLen {
			n := copy(p.header[p.seen:], b)
			p.seen += n
			b = b[n:]
			if p.seen < HeaderLen {
				return ended
			}
			p.left = length(p.header[:])
		}
		n := min(p.left, len(b))
		p.left -= n
		b = b[n:]
		if p.left == 0 {
			p.seen = 0
			ended = true
		}
	}
	return ended
}
