// Package proxyproto reads the header of the PROXY protocol, versions 1 and 2,
// with which a proxy says whose connection it forwards. The protocol is
// HAProxy's: doc/proxy-protocol.txt in its source.
package proxyproto

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
)

// A Header is what a proxy has sent. Both addresses are nil if it names no
// client: the connection is the proxy's own (LOCAL, a health check), or of a
// kind that the protocol has no address for (UNKNOWN, UNSPEC).
type Header struct {
	Source      net.Addr // the client's
	Destination net.Addr // the address that it connected to
}

// ErrInvalid says that a header is missing or invalid; use errors.Is.
var ErrInvalid = errors.New("no valid PROXY header")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// signature begins a header of version 2. It is shorter than any header, so it
// can be read before the version is known.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

const prefix1 = "PROXY "

// Read reads a header and not a byte more, so that r continues with what
// follows. If r ends inside the header, the error is io.ErrUnexpectedEOF. The
// memory that Read holds grows with what has arrived, to at most 64 KiB.
func Read(r io.Reader) (Header, error) {
	start := make([]byte, len(signature), maxLine)
	if err := readStart(r, start); err != nil {
		return Header{}, err
	}
	if string(start) == signature {
		return read2(r)
	}
	return read1(r, start)
}

// readStart fills start, or fails at the first byte that cannot be part of a
// header: a peer that speaks another protocol may not send that much, and wait.
func readStart(r io.Reader, start []byte) error {
	for n := 0; n < len(start); {
		m, err := r.Read(start[n:])
		n += m
		if !mayBegin(start[:n]) {
			return invalid("it begins with %q", start[:n])
		}
		if n < len(start) && err != nil {
			return unexpected(err)
		}
	}
	return nil
}

// mayBegin reports whether a header can begin with p.
func mayBegin(p []byte) bool {
	return bytes.HasPrefix([]byte(signature), p) || bytes.HasPrefix([]byte(prefix1), p[:min(len(p), len(prefix1))])
}

// unexpected returns the error for a read inside a header.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
