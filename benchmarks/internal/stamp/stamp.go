// Package stamp marks messages with their publishing time, on a clock that all
// processes of a machine share.
package stamp

import (
	"encoding/binary"
	"time"
)

// Size is how many bytes of a message a stamp takes.
const Size = 8

// Put writes the time into the first Size bytes of message.
func Put(message []byte) {
	binary.BigEndian.PutUint64(message, uint64(now()))
}

// Age returns how long ago message was stamped.
func Age(message []byte) time.Duration {
	return time.Duration(now() - int64(binary.BigEndian.Uint64(message)))
}
