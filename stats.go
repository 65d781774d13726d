package chanio

import "sync/atomic"

// Stats counts what a session, listener, client, hub or packet endpoint did.
// The totals of a listener, client or hub include sessions that have ended.
//
// Byte counters count the user's bytes, including framing but not TLS records.
// On a raw stream a message is one read or one send. All counters are exact
// once Done is closed; BytesSent is also exact when Flush returns. Of a write to
// a stream that failed halfway, MessagesSent counts nothing.
type Stats struct {
	Sessions         int64 // live sessions: 1 or 0 for a session, members for a hub
	Accepted         int64 // sessions ever accepted
	BytesReceived    int64
	BytesSent        int64
	BytesPending     int64 // accepted from the user but not yet taken by the kernel
	MessagesReceived int64
	MessagesSent     int64
	MessagesDropped  int64 // dropped by the library: a full queue or peer table, an unsent datagram, messages a hub skipped
	KernelDropped    int64 // datagrams that the kernel dropped, where it reports that
	Refused          int64 // datagrams refused by ICMP
	Undelivered      int64 // bytes that were accepted and never sent: the session ended first, or a datagram failed
	EventsDropped    int64
}

// add adds o, the counters of a session or an endpoint, to s.
func (s *Stats) add(o Stats) {
	s.Sessions += o.Sessions
	s.Accepted += o.Accepted
	s.BytesReceived += o.BytesReceived
	s.BytesSent += o.BytesSent
	s.BytesPending += o.BytesPending
	s.MessagesReceived += o.MessagesReceived
	s.MessagesSent += o.MessagesSent
	s.MessagesDropped += o.MessagesDropped
	s.KernelDropped += o.KernelDropped
	s.Refused += o.Refused
	s.Undelivered += o.Undelivered
	s.EventsDropped += o.EventsDropped
}

// counters are the Stats that goroutines update while a session runs. Each has
// one writer at a time, so the atomics are never contended.
type counters struct {
	bytesReceived    atomic.Int64
	bytesSent        atomic.Int64
	bytesPending     atomic.Int64
	messagesReceived atomic.Int64
	messagesSent     atomic.Int64
	messagesDropped  atomic.Int64
	undelivered      atomic.Int64
	lost             atomic.Int64 // messages whose bytes undelivered counts, empty ones included
}

func (c *counters) snapshot() Stats {
	return Stats{
		BytesReceived:    c.bytesReceived.Load(),
		BytesSent:        c.bytesSent.Load(),
		BytesPending:     c.bytesPending.Load(),
		MessagesReceived: c.messagesReceived.Load(),
		MessagesSent:     c.messagesSent.Load(),
		MessagesDropped:  c.messagesDropped.Load(),
		Undelivered:      c.undelivered.Load(),
	}
}
