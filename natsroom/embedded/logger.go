package embedded

import (
	"fmt"
	"sync"
)

// A logger keeps the last error that the server logged: it says that way only
// why it does not start.
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

// Fatalf is Errorf: the server shuts down behind it.
func (l *logger) Fatalf(format string, v ...any) { l.Errorf(format, v...) }

func (*logger) Noticef(string, ...any) {}
func (*logger) Warnf(string, ...any)   {}
func (*logger) Debugf(string, ...any)  {}
func (*logger) Tracef(string, ...any)  {}
