package chanio

import (
	"math/rand/v2"
	"time"
)

// noPause is the pause before the first attempt.
const noPause time.Duration = -1

// next returns the pause that follows d, the first one if d is noPause. A zero
// pause is followed by the default for Min, so that a server that is down is
// not dialed in a tight loop.
func (b *Backoff) next(d time.Duration) time.Duration {
	switch {
	case d < 0:
		return b.Min
	case d == 0:
		return min(defaultBackoffMin, b.Max)
	}
	if grown := float64(d) * b.Factor; grown < float64(b.Max) {
		return max(b.Min, time.Duration(grown))
	}
	return b.Max
}

// held reports whether a connection that lived that long resets the backoff: it
// outlived the pause before it.
func (b *Backoff) held(lived, pause time.Duration) bool {
	if pause == 0 {
		pause = min(defaultBackoffMin, b.Max) // or a server that hangs up at once is dialed in a tight loop
	}
	return lived > pause
}

// jitter returns d minus a random part of it, so that the clients of a server
// that went away do not all come back at the same moment.
func (b *Backoff) jitter(d time.Duration) time.Duration {
	return d - time.Duration(rand.Float64()*b.Jitter*float64(d))
}
