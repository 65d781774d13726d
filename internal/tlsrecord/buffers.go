package tlsrecord

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"runtime"
	"strings"
	"unsafe"
)

// testedGo is the Go whose crypto/tls Buffers knows: with it the tests have shown
// that an empty buffer may be dropped.
const testedGo = "go1.26"

// Buffers are the memory that a tls.Conn keeps for its input. crypto/tls keeps
// them at the largest size they ever had for the life of the connection, and
// has no way to release them. With an untested Go version there are none.
type Buffers struct {
	records  *bytes.Buffer // what it has read and not decrypted
	messages *bytes.Buffer // messages of handshakes
}

// BuffersOf returns the buffers of tc.
func BuffersOf(tc *tls.Conn) Buffers {
	if !tested(runtime.Version()) {
		return Buffers{}
	}
	return Buffers{bufferOf(tc, "rawInput"), bufferOf(tc, "hand")}
}

// tested reports whether version is one of testedGo.
func tested(version string) bool {
	rest, ok := strings.CutPrefix(version, testedGo)
	return ok && (rest == "" || rest[0] < '0' || rest[0] > '9')
}

// bufferOf returns the buffer of tc in the field of that name, or nil.
func bufferOf(tc *tls.Conn, field string) *bytes.Buffer {
	f, ok := reflect.TypeFor[tls.Conn]().FieldByName(field)
	if !ok || f.Type != reflect.TypeFor[bytes.Buffer]() {
		return nil
	}
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(tc), f.Offset))
}

// Size returns how much memory the empty ones hold. Like Drop it is for the
// goroutine that reads from the connection, or while none does.
func (b Buffers) Size() int { return sizeOf(b.records) + sizeOf(b.messages) }

func sizeOf(b *bytes.Buffer) int {
	if b == nil || b.Len() > 0 {
		return 0
	}
	return b.Cap()
}

// Drop leaves the memory of the empty ones to the collector. It is not reused, so
// code that still refers to it does no harm.
func (b Buffers) Drop() {
	for _, b := range []*bytes.Buffer{b.records, b.messages} {
		if sizeOf(b) > 0 {
			*b = bytes.Buffer{}
		}
	}
}
