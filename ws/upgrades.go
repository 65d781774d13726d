package ws

import (
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"example.com/chanio"
)

// upgrades is the net.Listener through which a Handler's connections reach its
// chanio.Listener. Accept is called when there is a place for a session.
type upgrades struct {
	conns   chan *chanio.Handover // sent by deliver
	places  chan struct{}         // filled while upgrading or delivering; nil: no bound
	timeout time.Duration         // of deliver; 0: none
	closed  chan struct{}
	close   sync.Once // closes closed
}

func newUpgrades(places int, timeout time.Duration) *upgrades {
	u := &upgrades{
		conns:   make(chan *chanio.Handover),
		timeout: max(timeout, 0),
		closed:  make(chan struct{}),
	}
	if places > 0 {
		u.places = make(chan struct{}, places)
	}
	return u
}

// enter takes a place for an upgrade, or reports that there is none.
func (u *upgrades) enter() bool {
	select {
	case <-u.closed:
		return false
	default:
	}
	if u.places == nil {
		return true
	}
	select {
	case u.places <- struct{}{}:
		return true
	default:
		return false
	}
}

func (u *upgrades) leave() {
	if u.places != nil {
		<-u.places
	}
}

// deliver hands c over, or tells its peer that no session was available.
func (u *upgrades) deliver(c *chanio.Handover) {
	var expired <-chan time.Time
	if u.timeout > 0 {
		timer := time.NewTimer(u.timeout)
		defer timer.Stop()
		expired = timer.C
	}
	code := StatusTryAgainLater
	select {
	case u.conns <- c:
		return
	case <-expired:
	case <-u.closed:
		code = StatusGoingAway
	}
	f := framing{}.append(nil, ws.OpClose, false, ws.NewCloseFrameBody(code, ""))
	c.SetWriteDeadline(time.Now().Add(time.Second)) // a courtesy
	c.Write(f)
	c.Close()
}

func (u *upgrades) Accept() (net.Conn, error) {
	select {
	case c := <-u.conns:
		return c, nil
	case <-u.closed:
		return nil, net.ErrClosed
	}
}

func (u *upgrades) Close() error {
	u.close.Do(func() { close(u.closed) })
	return nil
}

func (u *upgrades) Addr() net.Addr { return handlerAddr{} }

// handlerAddr is the address of a Handler's listener, whose connections are
// accepted elsewhere.
type handlerAddr struct{}

func (handlerAddr) Network() string { return "websocket" }
func (handlerAddr) String() string  { return "handler" }
