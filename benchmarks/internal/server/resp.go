package server

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"example.com/chanio"
)

// resp is the Framing of a server for Redis' protocol (RESP 2,
// https://redis.io/docs/latest/develop/reference/protocol-spec). A received
// message is a whole command, an array of bulk strings; a sent message is a
// reply as it is on the wire.
type resp struct{}

var errProtocol = errors.New("resp: no array of bulk strings")

func (resp) AppendFrame(dst, message []byte) ([]byte, error) { return append(dst, message...), nil }

func (resp) Next(buf []byte, max int) ([]byte, int, error) {
	var args [4][]byte
	_, n, err := parseCommand(args[:0], buf)
	if err != nil {
		return nil, 0, err
	}
	if n > max || n == 0 && len(buf) > max {
		return nil, 0, fmt.Errorf("resp: %w", chanio.ErrMessageTooLarge)
	}
	return buf[:n], n, nil
}

// parseCommand appends the arguments of the first command in buf to args and
// returns the command's length; 0 means that more bytes are needed.
func parseCommand(args [][]byte, buf []byte) ([][]byte, int, error) {
	count, n, err := parseNumber(buf, '*')
	if err != nil || n == 0 {
		return nil, 0, err
	}
	for range count {
		size, used, err := parseNumber(buf[n:], '$')
		if err != nil || used == 0 {
			return nil, 0, err
		}
		n += used
		if size > len(buf)-n-2 {
			return nil, 0, nil
		}
		args = append(args, buf[n:n+size])
		n += size + 2
	}
	return args, n, nil
}

// parseNumber parses a line made of kind and a number.
func parseNumber(buf []byte, kind byte) (value, n int, err error) {
	const longest = 16
	if len(buf) == 0 {
		return 0, 0, nil
	}
	if buf[0] != kind {
		return 0, 0, errProtocol
	}
	for i, c := range buf[1:] {
		switch {
		case c == '\r':
			if n = i + 3; n > len(buf) {
				return 0, 0, nil
			}
			return value, n, nil
		case c < '0' || c > '9' || i >= longest:
			return 0, 0, errProtocol
		}
		value = value*10 + int(c-'0')
	}
	return 0, 0, nil
}

// A store is the data that the commands work on.
type store struct {
	mu     sync.RWMutex
	values map[string][]byte
}

func newStore() *store { return &store{values: make(map[string][]byte)} }

// answer appends the reply to a command to dst.
func (s *store) answer(dst []byte, args [][]byte) []byte {
	switch {
	case len(args) == 2 && bytes.EqualFold(args[0], []byte("GET")):
		s.mu.RLock()
		v, ok := s.values[string(args[1])]
		s.mu.RUnlock()
		if !ok {
			return append(dst, "$-1\r\n"...)
		}
		dst = append(strconv.AppendInt(append(dst, '$'), int64(len(v)), 10), "\r\n"...)
		return append(append(dst, v...), "\r\n"...)
	case len(args) == 3 && bytes.EqualFold(args[0], []byte("SET")):
		v := bytes.Clone(args[2])
		s.mu.Lock()
		s.values[string(args[1])] = v
		s.mu.Unlock()
		return append(dst, "+OK\r\n"...)
	case len(args) == 1 && bytes.EqualFold(args[0], []byte("PING")):
		return append(dst, "+PONG\r\n"...)
	}
	return append(dst, "-ERR unknown command\r\n"...)
}
