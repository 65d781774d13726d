package chanio

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
