package tlsrecord

// typeData is the first byte of a record with application data, and of every
// encrypted record of TLS 1.3 (RFC 8446, 5.1).
const typeData = 23

// A Tally counts the application data in the records of a stream that went out
// whole. Of a record that went out in part a peer can decrypt nothing. The zero
// value is the beginning of a stream. In TLS 1.3 a key update looks like 5 bytes
// of data.
type Tally struct {
	Overhead int // bytes that each record has besides its header and its data

	place Place
	data  int
}

// Advance moves the tally past b, which went out.
func (t *Tally) Advance(b []byte) {
	for len(b) > 0 {
		n := min(len(b), t.place.Left())
		ended := t.place.Advance(b[:n])
		b = b[n:]
		if header := t.place.header[:]; ended && header[0] == typeData {
			t.data += max(0, length(header)-t.Overhead)
		}
	}
}

// Take returns the count since the last Take.
func (t *Tally) Take() int {
	n := t.data
	t.data = 0
	return n
}
