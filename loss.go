package chanio

import (
	"fmt"
	"sync"
)

// A loss is what Flush and Close tell of datagrams that could not be sent, which
// end nothing. The zero loss is of none.
type loss struct {
	mu    sync.Mutex
	first error
	count int // of the datagrams that were lost since the last Flush
}

// note adds a datagram that was lost because of err.
func (l *loss) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count++; l.count == 1 {
		l.first = err
	}
}

// err returns the error of what was lost since the last take, nil if nothing was.
func (l *loss) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told()
}

// take is err, and forgets it.
func (l *loss) take() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.told()
	l.first, l.count = nil, 0
	return err
}

// told is err for those who hold mu.
func (l *loss) told() error {
	if l.count > 1 {
		return fmt.Errorf("%w (and %d more datagrams were lost)", l.first, l.count-1)
	}
	return l.first
}
