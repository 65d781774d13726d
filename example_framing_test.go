package chanio_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"example.com/chanio"
)

// Checked is a Framing of the program's own: a length, the message, and a
// trailing checksum. It builds on one of the library's.
type Checked struct{ chanio.LengthPrefix }

// AppendFrame appends message with its checksum as one length-prefixed frame.
func (c Checked) AppendFrame(dst, message []byte) ([]byte, error) {
	sum := crc32.ChecksumIEEE(message)
	return c.LengthPrefix.AppendFrame(dst, binary.BigEndian.AppendUint32(message[:len(message):len(message)], sum))
}

// Next returns the first message whose checksum is right.
func (c Checked) Next(buf []byte, max int) ([]byte, int, error) {
	framed, n, err := c.LengthPrefix.Next(buf, max+4)
	if n == 0 || err != nil {
		return nil, 0, err
	}
	if len(framed) < 4 {
		return nil, 0, errors.New("no checksum")
	}
	message, sum := framed[:len(framed)-4], framed[len(framed)-4:]
	if binary.BigEndian.Uint32(sum) != crc32.ChecksumIEEE(message) {
		return nil, 0, errors.New("wrong checksum")
	}
	return message, n, nil
}

// A program's own Framing goes into Options like one of the library's.
func ExampleFraming() {
	o := chanio.Options{Framing: Checked{chanio.LengthPrefix{Size: 2}}}

	wire, _ := o.Framing.AppendFrame(nil, []byte("hello"))
	fmt.Printf("% x\n", wire)

	_, n, _ := o.Framing.Next(wire[:4], 1024)
	fmt.Println(n, "is for want of more bytes")
	message, n, _ := o.Framing.Next(wire, 1024)
	fmt.Printf("%s in %d bytes\n", message, n)
	wire[3] ^= 1
	_, _, err := o.Framing.Next(wire, 1024)
	fmt.Println(err)
	// Output:
	// 00 09 68 65 6c 6c 6f 36 10 a6 86
	// 0 is for want of more bytes
	// hello in 11 bytes
	// wrong checksum
}
