// Package stamp marks messages with their publishing time, for other processes
// of the same machine.
package stamp

import (
	"encoding/binary"
	"time"
)

// Put writes the time into the first 8 bytes of message.
func Put(message []byte) {
	binary.BigEndian.PutUint64(message, uint64(time.Now().UnixNano()))
}

// Age returns how long ago message was stamped.
func Age(message []byte) time.Duration {
	return time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(message))))
}
