package chanio_test

import (
	"fmt"

	"example.com/chanio"
)

func ExampleLengthPrefix() {
	for _, f := range []chanio.LengthPrefix{
		{},
		{Size: 2, LittleEndian: true},
		{Size: 2, IncludesHeader: true},
		{Varint: true},
	} {
		wire, _ := f.AppendFrame(nil, []byte("hi"))
		fmt.Printf("% x\n", wire)
	}
	// Output:
	// 00 00 00 02 68 69
	// 02 00 68 69
	// 00 04 68 69
	// 02 68 69
}

func ExampleLines() {
	stream := []byte("from Unix\nfrom elsewhere\r\nnot yet all")
	for {
		line, n, _ := chanio.Lines{}.Next(stream, 1024)
		if n == 0 {
			break
		}
		fmt.Printf("%q\n", line)
		stream = stream[n:]
	}
	_, err := chanio.Lines{}.AppendFrame(nil, []byte("two\nlines"))
	fmt.Println(err)
	// Output:
	// "from Unix"
	// "from elsewhere"
	// chanio: lines: message has a newline at byte 3
}
