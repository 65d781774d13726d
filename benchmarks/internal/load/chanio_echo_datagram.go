package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync"
	"time"

	"example.com/chanio"
	"example.com/chanio/benchmarks/internal/report"
)

// chanioEchoDatagrams keeps datagrams in flight through the channels of udp
// sessions dialed with chanio.
func chanioEchoDatagrams(ctx context.Context, c Config) (*report.Report, error) {
	if c.Size < numberSize {
		return nil, errTooSmall
	}
	sessions, err := dialSessions(ctx, c)
	defer abortAll(sessions)
	if err != nil {
		return nil, err
	}
	w, p := newWindow(c), newPattern(c)
	var wg sync.WaitGroup
	for i, s := range sessions {
		e := &sessionDatagrams{session: s, course: newCourse(w, i), message: p.messages(1)}
		wg.Go(func() { w.fail(e.run(c.Messages)) })
	}
	r := w.measure(ctx)
	abortAll(sessions)
	wg.Wait()
	return r, nil
}

// A sessionDatagrams is one client.
type sessionDatagrams struct {
	session *chanio.Session
	course  *course
	message []byte // a datagram's content, except its number
	slab    []byte // memory for the next datagrams
}

// run sends all datagrams, then one for each that came back or was lost, until
// the run is over. It receives while it waits to send.
func (e *sessionDatagrams) run(owed int) error {
	stall := time.NewTicker(stallTime)
	defer stall.Stop()
	progress := false
	var next []byte
	for {
		var send chan<- []byte // nil, so never ready, if there is nothing to send
		if owed > 0 {
			send = e.session.Send()
			if next == nil {
				next = e.cut()
			}
		}
		select {
		case send <- next:
			next = nil
			owed--
		case m, ok := <-e.session.Recv():
			if !ok {
				return errEnded
			}
			if len(m) != len(e.message) || !bytes.Equal(m[numberSize:], e.message[numberSize:]) {
				return errDiffers
			}
			progress = true
			owed += e.course.receive(binary.BigEndian.Uint64(m), time.Now())
		case <-stall.C:
			if !progress {
				if next != nil { // not sent yet, but abandoned with the others
					next = nil
					owed--
				}
				owed += e.course.abandon()
			}
			progress = false
		}
	}
}

const slabMessages = 64

// cut returns a numbered datagram that the library may keep, and records it as
// sent.
func (e *sessionDatagrams) cut() []byte {
	n := len(e.message)
	if len(e.slab) == 0 {
		e.slab = bytes.Repeat(e.message, slabMessages)
	}
	m := e.slab[:n:n]
	e.slab = e.slab[n:]
	binary.BigEndian.PutUint64(m, e.course.send(time.Now()))
	return m
}
