package chanio

import "net"

// Settings returns the listener's options with their defaults.
func (l *Listener) Settings() Options { return l.set.Options }

// Settings returns the client's options with their defaults.
func (c *Client) Settings() Options { return c.set.Options }

// Redials returns how many calls of Reconnect wait for an attempt.
func (c *Client) Redials() int { return len(c.redial) }

// Draining returns a channel that is closed by Drain.
func (l *Listener) Draining() <-chan struct{} { return l.draining }

// Quit returns a channel that is closed when the listener stops accepting.
func (l *Listener) Quit() <-chan struct{} { return l.quit }

// Known returns how many sessions the listener knows.
func (l *Listener) Known() int { return l.reg.size() }

// Interrupt makes accepting fail.
func (l *Listener) Interrupt() {
	l.mu.Lock()
	src := l.src
	l.mu.Unlock()
	src.interrupt()
}

// AcceptFrom returns the ways to end a listener's accepting from ln.
func AcceptFrom(ln net.Listener) (interrupt, release func()) {
	src := &streams{ln: ln}
	return src.interrupt, src.release
}

// BeforeBind makes Restart call f before it binds. An error of f is bind's.
func (l *Listener) BeforeBind(f func() error) {
	bind := l.bind
	l.bind = func() (source, error) {
		if err := f(); err != nil {
			return nil, err
		}
		return bind()
	}
}

// RestrictSocket applies SocketMode to a unix socket that is not bound yet.
func (o *Options) RestrictSocket(fd int) error {
	set, err := o.resolve(false)
	if err != nil {
		return err
	}
	return set.restrict("unix", uintptr(fd))
}

// HoldRegistry holds the registry's mutex until unlock.
func (l *Listener) HoldRegistry() (unlock func()) {
	l.reg.mu.Lock()
	return l.reg.mu.Unlock
}
