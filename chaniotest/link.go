package chaniotest

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A Link says how two ends are connected: how bytes travel between them and
// what goes wrong on the way. The zero value, like a nil *Link, is a good
// connection. It is not modified after a call has taken it, and one value may
// serve any number of calls.
type Link struct {
	// Seed decides all that is random. The same seed cuts and delays the same
	// bytes in the same way, however they are written and read.
	Seed uint64
	// Up is the way from the client to the server.
	Up Path
	// Down is the way from the server to the client.
	Down Path
}

// A Path is one direction of a [Link]. The zero value is a good one; in each
// field a negative value is as good as zero.
type Path struct {
	// Latency is how long a byte is under way, and so is the end of the stream.
	Latency time.Duration
	// Jitter is how much longer it may be, drawn anew for every fragment. The
	// order is kept.
	Jitter time.Duration
	// Bandwidth is how many bytes a second the path carries. If zero, there is
	// no bound.
	Bandwidth int
	// Fragment makes bytes come in pieces of 1 to Fragment bytes, of random
	// lengths, and a read return one piece at most. If zero, a read returns all
	// that has arrived and fits.
	Fragment int
	// Buffer is how many bytes the path holds that were written and not read;
	// a Write waits for room. If zero, 64 KiB.
	Buffer int
	// Faults happen in the order of their At; those with the same one in theirs.
	Faults []Fault
}

// A Fault is something that happens on a [Path] as soon as At bytes have been
// written to it; when At is 0, at once.
type Fault struct {
	Kind Kind
	// At is how many bytes still get through, in order.
	At int64
	// For is how long a [Stall] lasts; if zero, for good. Others do not use it.
	For time.Duration
}

// A Kind is what a [Fault] does.
type Kind int8

const (
	// EOF ends the stream: the reader gets At bytes and then io.EOF. The writer
	// does not notice; what it writes behind that is lost. The other direction
	// goes on.
	EOF Kind = iota + 1
	// Reset breaks the connection once byte At has arrived. The reader gets what
	// has arrived and then ECONNRESET; so does who reads the other direction,
	// where what is under way is lost. A Write under way fails with ECONNRESET,
	// and n is what was taken; later ones fail with EPIPE.
	Reset
	// Stall holds what is behind byte At up, the end of the stream included, for
	// For. When it is for good nothing gets through any more, a reset neither:
	// to the reader the peer has vanished, and the writer goes on until Buffer
	// is full.
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

// RandomLink returns a link made from seed for about n bytes each way: latencies,
// bandwidths, fragments and buffers that differ a lot, and in about half of the
// links a fault or two at bytes up to n. It is for tests that run through many
// seeds: print the seed with what failed, and the same seed shows it again.
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

// newRand returns a source of its own for each stream of one seed.
func newRand(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }
