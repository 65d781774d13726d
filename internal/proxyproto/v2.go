package proxyproto

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
)

// The commands, and the families with their transports, of version 2.
const (
	commandLocal = 0x0
	commandProxy = 0x1

	familyUnspec   = 0x00
	tcp4           = 0x11
	udp4           = 0x12
	tcp6           = 0x21
	udp6           = 0x22
	unixStream     = 0x31
	unixDatagram   = 0x32
	unixPathLength = 108
)

// typeCRC32C is the extension (TLV) that has a checksum of the header.
const typeCRC32C = 0x03

// chunk is how much memory a header's length can claim before its bytes arrive.
const chunk = 4 << 10

// read2 reads the rest of a header of version 2, after the signature.
func read2(r io.Reader) (Header, error) {
	header := append(make([]byte, 0, len(signature)+4+36), signature...)
	header, err := readMore(r, header, 4)
	if err != nil {
		return Header{}, err
	}
	fixed := header[len(signature):]
	version, command, family := fixed[0]>>4, fixed[0]&15, fixed[1]
	switch {
	case version != 2:
		return Header{}, invalid("its version is %d", version)
	case command != commandLocal && command != commandProxy:
		return Header{}, invalid("its command is %d", command)
	}
	if header, err = readMore(r, header, int(binary.BigEndian.Uint16(fixed[2:]))); err != nil {
		return Header{}, err
	}
	if command == commandLocal || family == familyUnspec {
		return Header{}, nil // whatever follows
	}
	return parse2(family, header)
}

// readMore appends n bytes of r to p.
func readMore(r io.Reader, p []byte, n int) ([]byte, error) {
	for n > 0 {
		end := len(p)
		step := min(n, chunk)
		p = append(p, make([]byte, step)...)
		if _, err := io.ReadFull(r, p[end:]); err != nil {
			return nil, unexpected(err)
		}
		n -= step
	}
	return p, nil
}

// parse2 parses a whole header that names a client.
func parse2(family byte, header []byte) (Header, error) {
	body := header[len(signature)+4:]
	var length int
	var parse func(p []byte) net.Addr // of one of the two addresses, but for its port
	switch family {
	case tcp4, udp4:
		length = 2 * (4 + 2)
	case tcp6, udp6:
		length = 2 * (16 + 2)
	case unixStream, unixDatagram:
		length = 2 * unixPathLength
		parse = func(p []byte) net.Addr { return unixAddr(family, p) }
	default:
		return Header{}, invalid("its family is %#02x", family)
	}
	if len(body) < length {
		return Header{}, invalid("its %d bytes are too few for family %#02x", len(body), family)
	}
	if err := checkExtensions(header, len(header)-len(body)+length); err != nil {
		return Header{}, err
	}
	if parse != nil {
		return Header{parse(body[:unixPathLength]), parse(body[unixPathLength : 2*unixPathLength])}, nil
	}
	size := (length - 4) / 2
	ports := body[2*size:]
	return Header{
		ipAddr(family, body[:size], ports),
		ipAddr(family, body[size:2*size], ports[2:]),
	}, nil
}

func ipAddr(family byte, ip, port []byte) net.Addr {
	addr, _ := netip.AddrFromSlice(ip) // of 4 or 16 bytes
	ap := netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(port))
	if family == udp4 || family == udp6 {
		return net.UDPAddrFromAddrPort(ap)
	}
	return net.TCPAddrFromAddrPort(ap)
}

func unixAddr(family byte, path []byte) net.Addr {
	network := "unix"
	if family == unixDatagram {
		network = "unixgram"
	}
	if len(path) > 0 && path[0] == 0 { // an abstract one, or none
		name := string(bytes.TrimRight(path[1:], "\x00"))
		if name == "" {
			return &net.UnixAddr{Net: network}
		}
		return &net.UnixAddr{Net: network, Name: "@" + name}
	}
	path, _, _ = bytes.Cut(path, []byte{0})
	return &net.UnixAddr{Net: network, Name: string(path)}
}

// checkExtensions checks that what follows the addresses, from there on, is a
// sequence of extensions, and the checksum if there is one.
func checkExtensions(header []byte, from int) error {
	for rest := header[from:]; len(rest) > 0; {
		if len(rest) < 3 || len(rest)-3 < int(binary.BigEndian.Uint16(rest[1:])) {
			return invalid("an extension is cut")
		}
		value := rest[3 : 3+binary.BigEndian.Uint16(rest[1:])]
		if rest[0] == typeCRC32C {
			if len(value) != 4 {
				return invalid("its checksum has %d bytes", len(value))
			}
			want := binary.BigEndian.Uint32(value)
			clear(value) // the checksum is of the header with zeros in its place
			got := crc32.Checksum(header, crc32.MakeTable(crc32.Castagnoli))
			binary.BigEndian.PutUint32(value, want)
			if got != want {
				return invalid("its checksum is wrong")
			}
		}
		rest = rest[3+len(value):]
	}
	return nil
}
