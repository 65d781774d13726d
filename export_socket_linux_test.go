package chanio

import (
	"os"

	"example.com/chanio/internal/sock"
)

// TryWrite writes p beside the session's writer, which must not be writing.
func (s *Session) TryWrite(p []byte) error {
	var out *sock.Writer
	switch t := s.tr.(type) {
	case *stream:
		out = t.raw.out
	case *tlsStream:
		out = t.raw.out
	case *packets:
		out = t.out
	case *givenTLS:
		return t.write(&outBatch{parts: [][]byte{p}, size: len(p)}, (*flow)(s))
	}
	_, err := out.TryWrite([][]byte{p}, true)
	return err
}

// WaitsThrough reports whether a listener would wait for first inputs through file.
func WaitsThrough(file *os.File) bool {
	a := new(arrivals)
	defer a.close()
	return a.use(file, nil)
}
