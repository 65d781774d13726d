package embedded

import (
	"fmt"
	"sync"
)

// A logger keeps the last error that the server logged. The log is the only
// place where the server says why it does not start.
type logger struct {
	mu  sync.Mutex
	err error
}

func (l *logger) last() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *logger) Errorf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = fmt.Errorf(format, v...)
}

// Fatalf is Errorf; the server shuts down afterwards.
func (l *logger) Fatalf(format string, v ...any) { l.Errorf(format, v...) }

func (*logger) Noticef(string, ...any) {}
func (*logger) Warnf(string, ...any)   {}
func (*logger) Debugf(string, ...any)  {}
func (*logger) Tracef(string, ...any)  {}
