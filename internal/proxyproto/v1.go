package proxyproto

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// maxLine is the length of the longest header of version 1, with its CRLF.
const maxLine = 107

// read1 reads the rest of a header of version 1: a line.
func read1(r io.Reader, line []byte) (Header, error) {
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		n := missing(line)
		if len(line)+n > maxLine {
			return Header{}, invalid("its line is longer than %d bytes", maxLine)
		}
		end := len(line)
		line = line[:end+n]
		if _, err := io.ReadFull(r, line[end:]); err != nil {
			return Header{}, unexpected(err)
		}
		if i := bytes.IndexByte(line, '\n'); i >= 0 && (i < len(line)-1 || line[i-1] != '\r') {
			return Header{}, invalid("its line does not end in CRLF")
		}
	}
	return parse1(string(line[:len(line)-2]))
}

// missing returns how many bytes at least must follow line if it begins a valid
// header: that many can be read without reading what comes after it.
func missing(line []byte) int {
	if line[len(line)-1] == '\r' {
		return 1
	}
	fields := strings.Split(string(line), " ")
	rest := 0
	if len(fields) > 2 && fields[1] != "UNKNOWN" {
		shortest := len("0.0.0.0")
		if fields[1] == "TCP6" {
			shortest = len("::")
		}
		for i, least := range []int{shortest, shortest, 1, 1} { // a field each, from the third on
			switch at := i + 2; {
			case at >= len(fields):
				rest += 1 + least
			case at == len(fields)-1 && fields[at] == "":
				rest += least
			}
		}
	}
	return rest + len("\r\n")
}

// parse1 parses a line without its end.
func parse1(line string) (Header, error) {
	fields := strings.Split(line, " ")
	if len(fields) >= 2 && fields[1] == "UNKNOWN" {
		return Header{}, nil // whatever follows
	}
	if len(fields) != 6 || fields[1] != "TCP4" && fields[1] != "TCP6" {
		return Header{}, invalid("%q", line)
	}
	source, err := address(fields[1], fields[2], fields[4])
	if err != nil {
		return Header{}, err
	}
	destination, err := address(fields[1], fields[3], fields[5])
	if err != nil {
		return Header{}, err
	}
	return Header{source, destination}, nil
}

func address(family, host, port string) (net.Addr, error) {
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" || addr.Is4() != (family == "TCP4") {
		return nil, invalid("%q is no address of %s", host, family)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || port != strconv.FormatUint(n, 10) {
		return nil, invalid("%q is no port", port)
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr.Unmap(), uint16(n))), nil
}
