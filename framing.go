package chanio

// Framing cuts a stream into messages and back. It has no state: one value
// serves all sessions, from many goroutines at once.
type Framing interface {
	// AppendFrame appends message to dst as it goes over the wire and returns
	// the extended slice, or an error if the message cannot be framed. It keeps
	// neither slice and does not modify message.
	AppendFrame(dst, message []byte) ([]byte, error)
	// Next looks for the first whole message in buf. It returns the message, a
	// part of buf, and how many bytes of buf it and its framing took; n == 0
	// means that more bytes are needed. A message longer than max, or any other
	// error, ends the session.
	Next(buf []byte, max int) (message []byte, n int, err error)
}
