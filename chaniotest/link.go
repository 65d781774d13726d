package chaniotest

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A Link says how two ends are connected: how bytes travel between them and
// what goes wrong on the way. The zero value, like a nil *Link, is a perfect
// connection. It is not modified by the calls that take it, and one value may
// be shared by any number of calls.
type Link struct {
	// Seed determines everything random. The same seed cuts and delays the same
	// bytes in the same way, however they are written and read.
	Seed uint64
	// Up is the direction from the client to the server.
	Up Path
	// Down is the direction from the server to the client.
	Down Path
}

// A Path is one direction of a [Link]. The zero value is perfect. In each field
// but Buffer, a negative value means the same as zero.
type Path struct {
	// Latency is how long a byte, or the end of the stream, is in flight.
	Latency time.Duration
	// Jitter is the most that may be added to Latency, drawn for each fragment.
	// Order is preserved.
	Jitter time.Duration
	// Bandwidth is how many bytes per second the path carries. If zero, there
	// is no limit.
	Bandwidth int
	// Fragment makes bytes arrive in pieces of random length, 1 to Fragment
	// bytes, and makes a read return at most one piece. If zero, a read returns
	// everything that has arrived and fits.
	Fragment int
	// Buffer is how many written and unread bytes the path holds; a Write waits
	// for room. If zero, 64 KiB. If negative, the path has no buffer: as with
	// net.Pipe, a Write waits until Reads have asked for its bytes, and a Read
	// gets the bytes of one Write.
	Buffer int
	// Faults happen in the order of their At; faults with the same At happen in
	// the order listed.
	Faults []Fault
}

// A Fault happens on a [Path] as soon as At bytes have been written to it; if
// At is 0, at once.
type Fault struct {
	Kind Kind
	// At is how many bytes still get through, in order.
	At int64
	// For is how long a [Stall] lasts; if zero, forever. Other kinds ignore it.
	For time.Duration
}

// A Kind says what a [Fault] does.
type Kind int8

const (
	// EOF ends the stream: the reader gets At bytes and then io.EOF. The writer
	// does not notice, and what it writes after that is lost. The other
	// direction is not affected.
	EOF Kind = iota + 1
	// Reset breaks the connection once byte At has arrived. The reader gets
	// what has arrived and then ECONNRESET. So does the reader of the other
	// direction, where what is in flight is lost. A Write in progress fails
	// with ECONNRESET, and its n is what was taken; later ones fail with EPIPE.
	Reset
	// Stall delays everything after byte At, including the end of the stream,
	// for For. If it lasts forever, nothing gets through any more, not even a
	// reset: to the reader the peer has vanished, and the writer continues
	// until Buffer is full.
	Stall
)

// String returns the kind's name.
func (k Kind) String() string {
	switch k {
	case EOF:
		return "EOF"
	case Reset:
		return "Reset"
	case Stall:
		return "Stall"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// RandomLink returns a link made from seed for about n bytes each way: widely
// varying latencies, bandwidths, fragments and buffers, and in about half of
// the links a fault or two at bytes up to n. It is for tests that run through
// many seeds. Print the seed of a failure, and the same seed reproduces it.
func RandomLink(seed uint64, n int64) *Link {
	r := newRand(seed, 0)
	return &Link{Seed: seed, Up: randomPath(r, n), Down: randomPath(r, n)}
}

func randomPath(r *rand.Rand, n int64) Path {
	var p Path
	if r.IntN(2) == 0 {
		p.Latency = time.Duration(r.Int64N(int64(200 * time.Millisecond)))
	}
	if r.IntN(2) == 0 {
		p.Jitter = time.Duration(r.Int64N(int64(100 * time.Millisecond)))
	}
	if r.IntN(3) == 0 {
		p.Bandwidth = 1000 << r.IntN(12)
	}
	if r.IntN(2) == 0 {
		p.Fragment = 1 << r.IntN(14)
	}
	if r.IntN(2) == 0 {
		p.Buffer = 256 << r.IntN(10)
	}
	if r.IntN(3) == 0 {
		p.Faults = append(p.Faults, randomFault(r, n))
	}
	return p
}

func randomFault(r *rand.Rand, n int64) Fault {
	f := Fault{Kind: EOF + Kind(r.IntN(3)), At: r.Int64N(max(n, 0) + 1)}
	if f.Kind == Stall && r.IntN(4) > 0 {
		f.For = time.Duration(r.Int64N(int64(2 * time.Second)))
	}
	return f
}

// newRand returns a separate source for each stream of one seed.
func newRand(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }
