//go:build unix

package soak

import (
	"errors"

	"example.com/chanio"
)

// judge compares what the clients and the servers say, and notes
// contradictions. It returns how many conversations were clean on both sides.
func (k *soak) judge() (clean int) {
	for _, o := range k.outcomes {
		srv := k.servers[o.Plan.Transport]
		r, known := srv.records[o.Plan.ID]
		j := judgment{soak: k, o: o, r: r, known: known, hub: srv.hub, tells: srv.Network == "tcp"}
		j.complain(o.Wrong != "", o.Wrong)
		switch o.Plan.Ending {
		case orderly:
			j.orderly()
		case closing:
			j.closing()
		}
		if known && r.Clean && o.Err == "" {
			clean++
		}
	}
	return clean
}

// A judgment is about one conversation.
type judgment struct {
	soak  *soak
	o     outcome
	r     record
	known bool // the server has heard of it
	hub   bool
	tells bool // an abort does not look like an end of stream
}

func (j *judgment) complain(wrong bool, what string) {
	if wrong {
		j.soak.problem("%s: client %+v; server %+v (known: %v)", what, j.o, j.r, j.known)
	}
}

// excused reports whether the server's side may have ended early.
func (j *judgment) excused() bool {
	return errors.Is(j.r.Err, chanio.ErrClosed) || // a restart
		errors.Is(j.r.Err, chanio.ErrLagged) || errors.Is(j.r.Err, errPlanned)
}

// orderly judges clients that sent everything, ended their stream, and read to
// the end of the server's.
func (j *judgment) orderly() {
	j.complain(j.known && !j.r.Clean && !j.excused(), "the server's side failed")
	j.complain(j.r.Clean && j.o.Report == nil, "the server's last word was lost")
	j.complain(j.tells && j.o.Err == "" && j.o.Report == nil, "a clean end that was none")
	if j.o.Report == nil {
		return
	}
	j.complain(j.o.Report.Received != j.o.Sent, "the server did not receive all")
	j.complain(j.o.Report.Sent != j.o.Received, "the client did not receive all")
	if j.o.Plan.Service == source || !j.r.Clean {
		return // the server may be gone when the client ends its stream
	}
	j.complain(!j.o.Ended || j.o.Err != "", "the client's side failed")
	// One message may be on its way into the log, and not yet counted, when a
	// session joins.
	first, last := j.o.Report.Joined+2, j.o.Report.Published
	if j.hub && first <= last {
		j.complain(j.o.LastHub < last, "hub messages that were published before the end were lost")
		j.complain(j.o.FirstHub == 0 || j.o.FirstHub > first, "hub messages that were published after Join were lost")
	}
}

// closing judges clients that called Close. Whatever the server sends to them
// is answered with a reset, which may cost the server its unread input, so
// nothing can be said where the server sends.
func (j *judgment) closing() {
	if j.o.Plan.Service != sink || j.hub || !j.o.Ended || j.excused() {
		return
	}
	j.complain(j.known && j.r.Received != j.o.Sent, "what Close flushed did not arrive")
}
