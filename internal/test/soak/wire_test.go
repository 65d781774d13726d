//go:build unix

package soak

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
)

// A kind is the kind of a message of the soak's own protocol.
type kind byte

const (
	hello     kind = iota + 1 // the client's first message: its plan
	data                      // the next bytes of the sender's stream
	published                 // a hub's message: its number and padding
	summary                   // the server's last message: what it saw and did
)

// A wire encodes and decodes messages: as they are where the library frames
// them, and with a header of its own on raw streams.
type wire struct{ framed bool }

const headerSize = 4

func (w wire) encode(k kind, payload []byte) []byte {
	if w.framed {
		return append([]byte{byte(k)}, payload...)
	}
	m := binary.BigEndian.AppendUint32(make([]byte, 0, headerSize+len(payload)), uint32(k)<<24|uint32(len(payload)))
	return append(m, payload...)
}

func (w wire) encodeJSON(k kind, v any) []byte {
	payload, err := json.Marshal(v)
	if err != nil {
		panic(err) // it holds only this package's types
	}
	return w.encode(k, payload)
}

// A decoder takes the data that a session received and passes on the messages
// in it.
type decoder struct {
	wire
	rest []byte // of a raw stream: the beginning of a message
}

func (d *decoder) feed(m []byte, took func(k kind, payload []byte) error) error {
	if d.framed {
		if len(m) == 0 {
			return errors.New("an empty message")
		}
		return took(kind(m[0]), m[1:])
	}
	d.rest = append(d.rest, m...)
	for len(d.rest) >= headerSize {
		header := binary.BigEndian.Uint32(d.rest)
		end := headerSize + int(header&(1<<24-1))
		if len(d.rest) < end {
			return nil
		}
		if err := took(kind(header>>24), d.rest[headerSize:end]); err != nil {
			return err
		}
		d.rest = d.rest[end:]
	}
	return nil
}

// period is the length after which a stream repeats itself: a prime, so no
// buffer's size divides it.
const period = 65521

// maxData is the longest payload of a data message.
const maxData = 96 << 10

var noise = func() []byte {
	b := make([]byte, period)
	rand.NewChaCha8([32]byte{7}).Read(b)
	return bytes.Repeat(b, 2+maxData/period)[:period+maxData]
}()

// A stream is the bytes that one side of a conversation sends. Any part of them
// identifies its position.
type stream struct {
	start  uint64 // where in noise it starts
	offset int64
}

// streamsOf returns the streams that the client and the server of a
// conversation send.
func streamsOf(id uint64) (client, server stream) {
	return stream{start: id * 7919}, stream{start: id*7919 + 31337}
}

// next returns the next n bytes.
func (s *stream) next(n int) []byte {
	at := (s.start + uint64(s.offset)) % period
	s.offset += int64(n)
	return noise[at:][:n]
}

// expect takes the bytes that arrived, and checks that they come next.
func (s *stream) expect(p []byte) error {
	if len(p) > maxData {
		return fmt.Errorf("a message of %d bytes that was never sent", len(p))
	}
	at := s.offset
	if !bytes.Equal(s.next(len(p)), p) {
		return fmt.Errorf("%d bytes at %d are not what was sent there", len(p), at)
	}
	return nil
}
