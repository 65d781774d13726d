package natsroom

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"example.com/chanio"
)

// An outbox sends what a room with History publishes until JetStream has
// acknowledged it, in order: go-back-N. When an acknowledgement is late,
// everything from the first unacknowledged packet on is resent, and only
// acknowledgements of that attempt count. Readers of the stream drop what is not
// next in its source's order: a duplicate, or what follows a gap and will
// therefore come again. Each packet says up to where everything is known to be
// in the stream, so that readers can tell such a gap from what is no longer
// kept.
type outbox struct {
	room *Room

	mu       sync.Mutex // held across Publish of nats.go, so that sequences go out in order
	unacked  []sent
	bytes    int
	next     uint64    // the sequence of the next message
	floor    uint64    // everything up to here is in the stream, in order
	attempt  int       // how often everything was resent
	progress time.Time // time of the last acknowledgement or attempt, or of the first packet in an empty outbox
	patience time.Duration
	refused  string // the last refusal that was reported
	last     uint64 // the last sequence in the stream that was acknowledged
	told     uint64
	behind   bool          // the connection did not take something: nothing is sent until everything is resent
	freed    chan struct{} // closed when acknowledgements arrive; nil if nothing waits
}

// A sent is a packet in flight.
type sent struct {
	seq   uint64
	count int
	data  []byte
	acked bool
}

// How long an acknowledgement may take before everything is resent. It doubles
// each time, since more traffic does not help a slow server.
const (
	minPatience = 2 * time.Second
	maxPatience = 16 * time.Second
)

func newOutbox(r *Room) *outbox {
	return &outbox{room: r, next: 1, patience: minPatience}
}

// subject is the subject that the stream stores.
func (o *outbox) subject() string { return o.room.node.prefix + ".keep." + o.room.name }

// publish accepts p, whose messages body appends: size bytes.
func (o *outbox) publish(p *packet, size int, body func([]byte) []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bytes > 0 && o.bytes+size > o.room.set.MaxPending {
		d := o.room.set.PublishTimeout
		ctx, cancel := context.WithTimeoutCause(context.Background(), d,
			fmt.Errorf("%w: %d bytes are not acknowledged", &timeoutError{"PublishTimeout", d}, o.bytes))
		defer cancel()
		if err := o.await(ctx, func() bool { return o.bytes == 0 || o.bytes+size <= o.room.set.MaxPending }); err != nil {
			return err
		}
	}
	if isClosed(o.room.closing) {
		return chanio.ErrClosed
	}
	p.first, p.floor, p.floorAt = o.next, o.floor, o.last
	o.next += uint64(p.count)
	s := sent{seq: p.first, count: p.count, data: body(p.appendHeader(make([]byte, 0, maxHeader+size)))}
	if len(o.unacked) == 0 {
		o.progress = time.Now()
	}
	o.unacked = append(o.unacked, s)
	o.bytes += len(s.data)
	o.behind = o.behind || !o.send(s)
	return nil
}

// await waits until ok reports true or ctx or the room ends. The caller holds
// mu; await releases it while it waits.
func (o *outbox) await(ctx context.Context, ok func() bool) error {
	for !ok() {
		if o.freed == nil {
			o.freed = make(chan struct{})
		}
		freed := o.freed
		o.mu.Unlock()
		var err error
		select {
		case <-freed:
		case <-o.room.closing:
			err = chanio.ErrClosed
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		o.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

// send passes s to the connection. If that fails, s is resent later. The caller
// holds mu.
func (o *outbox) send(s sent) bool {
	if !o.room.node.nc.IsConnected() {
		return false // the keeper resends everything when it is
	}
	reply := o.room.node.ackInbox + o.room.index + "." + strconv.Itoa(o.attempt) + "." + strconv.FormatUint(s.seq, 10)
	return o.room.node.nc.PublishRequest(o.subject(), reply, s.data) == nil
}

// resend sends everything again that is not acknowledged.
func (o *outbox) resend() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.unacked) == 0 {
		o.behind = false
		return
	}
	o.attempt++
	o.progress, o.behind = time.Now(), false
	for i := range o.unacked {
		s := &o.unacked[i]
		s.acked = false // it may be behind a gap
		s.data[flagsAt] |= packetAgain
		if o.behind = o.behind || !o.send(*s); o.behind {
			return
		}
	}
}

// beat resends if acknowledgements are late. The keeper calls it.
func (o *outbox) beat(now time.Time) {
	o.mu.Lock()
	late := now.Sub(o.progress) > o.patience
	overdue := len(o.unacked) > 0 && (o.behind || late)
	if late && overdue {
		o.patience = min(2*o.patience, maxPatience)
	}
	o.mu.Unlock()
	if overdue && o.room.node.nc.IsConnected() {
		o.resend()
	}
}

// A pubAck is JetStream's answer.
type pubAck struct {
	Error *struct {
		Code        int    `json:"err_code"`
		Description string `json:"description"`
	} `json:"error"`
	Seq uint64 `json:"seq"`
}

// answered processes the answer to the message that rest names. The dispatcher
// calls it.
func (o *outbox) answered(rest string, m *nats.Msg) {
	attempt, seq, _ := strings.Cut(rest, ".")
	a, err := strconv.Atoi(attempt)
	if err != nil {
		return
	}
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		return
	}
	var ack pubAck
	switch {
	case m.Header.Get("Status") != "":
		err = fmt.Errorf("the stream does not answer (%s)", m.Header.Get("Status"))
		o.room.node.stream.broken.Store(true)
	case json.Unmarshal(m.Data, &ack) != nil:
		err = fmt.Errorf("not an answer of JetStream: %.40q", m.Data)
	case ack.Error != nil:
		err = fmt.Errorf("JetStream refused a message: %s (%d); it is sent again", ack.Error.Description, ack.Error.Code)
	}
	if err != nil {
		o.refusedBy(err)
		return
	}
	o.acked(a, n, ack.Seq)
}

// refusedBy reports why a message was refused, but not the same reason twice in
// a row. The message is resent when patience runs out.
func (o *outbox) refusedBy(err error) {
	o.mu.Lock()
	tell := o.refused != err.Error()
	o.refused = err.Error()
	o.mu.Unlock()
	if tell {
		o.room.failed(err)
	}
}

// acked records that the packet that begins with seq is in the stream.
func (o *outbox) acked(attempt int, seq, stored uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if attempt != o.attempt || len(o.unacked) == 0 {
		return
	}
	lo, hi := 0, len(o.unacked)
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); o.unacked[mid].seq < seq {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(o.unacked) || o.unacked[lo].seq != seq {
		return
	}
	o.unacked[lo].acked = true
	o.last = max(o.last, stored)
	done := 0
	for done < len(o.unacked) && o.unacked[done].acked {
		s := &o.unacked[done]
		o.bytes -= len(s.data)
		o.floor = s.seq + uint64(s.count) - 1
		s.data = nil
		done++
	}
	if done == 0 {
		return
	}
	o.unacked = o.unacked[done:]
	if len(o.unacked) == 0 {
		o.unacked = nil
	}
	o.progress, o.patience, o.refused = time.Now(), minPatience, ""
	if o.freed != nil {
		close(o.freed)
		o.freed = nil
	}
}

// flush waits until everything published before it is acknowledged.
func (o *outbox) flush(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	target := o.next - 1
	return o.await(ctx, func() bool { return o.floor >= target })
}

// mark is stored for the other nodes, which have it then.
func (o *outbox) mark() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = o.last
	return o.last
}

// stored returns the last sequence in the stream that was acknowledged.
func (o *outbox) stored() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
}

// streamLost forgets positions in the stream after keep, which it lost.
func (o *outbox) streamLost(keep uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = min(o.last, keep)
}

// marked reports whether the result of mark has changed since its last call.
func (o *outbox) marked() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.told != o.last
}

func (o *outbox) pending() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes
}
