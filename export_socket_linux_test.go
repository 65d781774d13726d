package chanio

import "os"

// TryWrite writes p beside the session's writer, which must not be writing.
func (s *Session) TryWrite(p []byte) error {
	var raw *rawConn
	switch t := s.tr.(type) {
	case *stream:
		raw = t.raw
	case *tlsStream:
		raw = t.raw
	}
	_, err := raw.out.TryWrite([][]byte{p}, true)
	return err
}

// WaitsThrough reports whether a listener would wait for first inputs through file.
func WaitsThrough(file *os.File) bool {
	a := new(arrivals)
	defer a.close()
	return a.use(file, nil)
}
