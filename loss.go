package chanio

import (
	"fmt"
	"sync"
)

// A loss records datagrams that could not be sent, for Flush and Close to
// report. It ends neither a session nor an endpoint. The zero loss is empty.
type loss struct {
	mu    sync.Mutex
	first error
	count int // datagrams lost since the last Flush
}

// note records a datagram that was lost because of err.
func (l *loss) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count++; l.count == 1 {
		l.first = err
	}
}

// err returns the error of what was lost since the last take, or nil.
func (l *loss) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told()
}

// take returns err and empties the loss.
func (l *loss) take() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.told()
	l.first, l.count = nil, 0
	return err
}

// told is err for callers that hold mu.
func (l *loss) told() error {
	if l.count > 1 {
		return fmt.Errorf("%w (and %d more datagrams were lost)", l.first, l.count-1)
	}
	return l.first
}
