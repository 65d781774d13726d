package endpoint

import "example.com/chanio"

// The names of how messages are marked in a stream. Without a name they are not.
const (
	Prefix = "prefix" // 4 bytes of length before each, big-endian
	Lines  = "lines"  // a newline after each
)

// FramingOf returns chanio's framing of that name.
func FramingOf(name string) chanio.Framing {
	switch name {
	case Prefix:
		return chanio.LengthPrefix{Size: 4}
	case Lines:
		return chanio.Lines{}
	}
	return nil
}
