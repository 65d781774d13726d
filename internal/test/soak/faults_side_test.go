//go:build unix

package soak

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"example.com/chanio"
)

// There is no order between Send and SendBatch, so what is sent has a lane for
// each, with an order of its own.
const (
	single  = iota // Put, Write and Send
	batched        // PutBatch and SendBatch
	lanes
)

// kindOf returns the kind of a lane's messages.
func kindOf(lane int) kind { return kind(100 + lane) }

// An account is what a side knows of what it sent and received. Each part has
// one writer.
type account struct {
	sure      [lanes]int64 // messages that were accepted
	maybe     [lanes]int64 // and those sent on a channel, perhaps too late
	confirmed [lanes]int64 // messages that Flush confirmed
	bytes     [lanes]int64 // of the messages in maybe, as encoded
	sureBytes [lanes]int64
	received  [lanes]int64
	values    int64 // messages from Recv or RecvBatch
	taken     int64 // and their bytes
	stopped   bool  // it ended by itself, and does not know all that its peer sent
	closeErr  error
}

// A side is one end of an exchange.
type side struct {
	role
	account
	name  string
	place place
	s     *chanio.Session
	stop  context.CancelCauseFunc // ends the session's context
	wire  io.Closer               // the connection, if it is the side's own
	start uint64                  // where its stream starts in noise
	deaf  atomic.Bool             // it receives nothing until the session is over

	mu    sync.Mutex
	wrong []string
}

func (d *side) problem(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wrong = append(d.wrong, d.name+": "+fmt.Sprintf(format, args...))
}

// payload returns message number seq of a lane of the side that sends from
// start.
func payload(start uint64, lane int, seq int64, size int) []byte {
	p := binary.BigEndian.AppendUint64(nil, uint64(seq))
	at := (start + uint64(lane)*31 + uint64(seq)*7919) % period
	return append(p, noise[at:][:size]...)
}

// run has the exchange with a peer that sends from that start.
func (d *side) run(ctx context.Context, seed, peer uint64) {
	var sending, receiving sync.WaitGroup
	receiving.Go(func() { d.receive(peer) })
	for lane := range lanes {
		rng := rand.New(rand.NewPCG(seed, uint64(lane)))
		sending.Go(func() { d.send(ctx, lane, rng) })
	}
	sending.Wait()
	if d.Way == finish {
		if err := d.s.CloseWrite(); err != nil && d.s.Err() == nil && !errors.Is(err, chanio.ErrClosed) {
			d.problem("CloseWrite: %v", err)
		}
		receiving.Wait()
		d.closeErr = d.s.Close()
	}
	<-d.s.Done()
	receiving.Wait()
	if d.Way != finish && !(d.Way == shut && d.stopped) {
		d.closeErr = d.s.Close() // it still reports what was lost
	}
}

// end ends the exchange as planned, in the middle of it.
func (d *side) end() {
	d.stopped = true
	switch d.Way {
	case shut:
		d.closeErr = d.s.Close()
	case abort:
		d.s.Abort(errPlanned)
	case cancel:
		d.stop(errPlanned)
	case hangUp:
		d.wire.Close()
	case forget:
		d.deaf.Store(true)
		pause(time.Second, d.s.Done())
		d.s.Abort(errPlanned)
	}
}

// send is the sender of a lane.
func (d *side) send(ctx context.Context, lane int, rng *rand.Rand) {
	for n := 0; n < d.Messages[lane]; {
		if lane == single && n == d.EndAt && d.Way != finish {
			break
		}
		count := 1
		if lane == batched {
			count = 1 + rng.IntN(20)
		}
		if !d.sendSome(lane, count, rng) {
			return
		}
		n += count
		if rng.IntN(8) == 0 && !d.flush(ctx, lane, rng) {
			return
		}
	}
	if lane == single && d.Way != finish {
		d.end()
	}
}

// sendSome sends the next messages of a lane, and reports whether the session
// takes more.
func (d *side) sendSome(lane, count int, rng *rand.Rand) bool {
	w := d.place.wire()
	b := chanio.NewBatch()
	var m []byte
	size := int64(0)
	for i := range count {
		m = w.encode(kindOf(lane), payload(d.start, lane, d.maybe[lane]+int64(i), rng.IntN(d.MaxSize+1)))
		size += int64(len(m))
		if lane == batched {
			b.Append(m)
		}
	}
	sent, sure := d.hand(lane, m, b, rng)
	if sent {
		d.maybe[lane] += int64(count)
		d.bytes[lane] += size
	}
	if sure {
		d.sure[lane] += int64(count)
		d.sureBytes[lane] += size
	}
	return sent
}

// hand sends m, or b in its lane. sure says that it was accepted, which a
// channel does not tell.
func (d *side) hand(lane int, m []byte, b *chanio.Batch, rng *rand.Rand) (sent, sure bool) {
	var err error
	switch form := rng.IntN(3); {
	case lane == batched && form > 0:
		err = d.s.PutBatch(b)
	case lane == batched:
		select {
		case d.s.SendBatch() <- b:
			return true, d.inTime()
		case <-d.s.Done():
			return false, false
		}
	case form == 0:
		err = d.s.Put(m)
	case form == 1:
		_, err = d.s.Write(m)
	default:
		select {
		case d.s.Send() <- m:
			return true, d.inTime()
		case <-d.s.Done():
			return false, false
		}
	}
	if err != nil && !errors.Is(err, chanio.ErrClosed) {
		d.problem("put: %v", err)
	}
	return err == nil, err == nil
}

// inTime reports whether what was just sent on a channel was accepted: the
// session was neither closed nor over.
func (d *side) inTime() bool { return d.Way == finish && d.s.Context().Err() == nil }

// flush flushes a lane. It reports whether the session goes on.
func (d *side) flush(ctx context.Context, lane int, rng *rand.Rand) bool {
	impatient := rng.IntN(4) == 0
	if impatient {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Millisecond)
		defer stop()
	}
	sure, bytes := d.sure[lane], d.sureBytes[lane]
	err := d.s.Flush(ctx)
	switch {
	case err == nil:
		d.confirmed[lane] = sure
		if sent := d.s.Stats().BytesSent; sent < bytes {
			d.problem("Flush is nil, and %d of %d bytes sent", sent, bytes)
		}
		return true
	case impatient && errors.Is(err, context.DeadlineExceeded):
		return true
	case !errors.Is(err, chanio.ErrClosed):
		d.problem("Flush: %v", err)
	}
	return false
}

// receive receives everything that there is.
func (d *side) receive(peer uint64) {
	decode := decoder{wire: d.place.wire()}
	take := func(k kind, p []byte) error { return d.take(peer, k, p) }
	got := func(m []byte) {
		d.values++
		d.taken += int64(len(m))
		if err := decode.feed(m, take); err != nil {
			d.problem("%v", err)
			d.s.Abort(err)
		}
		if d.deaf.Load() {
			<-d.s.Done()
		}
		if d.ReadEvery > 0 && d.values%int64(d.ReadEvery) == 0 {
			pause(d.Pause, d.s.Done())
		}
	}
	if !d.Batches {
		for m := range d.s.Recv() {
			got(m)
		}
		return
	}
	for b := range d.s.RecvBatch() {
		for _, m := range b.All() {
			got(m)
		}
		b.Release()
	}
}

// take takes a message, which must be the next of its lane.
func (d *side) take(peer uint64, k kind, p []byte) error {
	lane := int(k) - int(kindOf(0))
	if lane < 0 || lane >= lanes || len(p) < 8 {
		return fmt.Errorf("a message of kind %d and %d bytes that was never sent", k, len(p))
	}
	if !bytes.Equal(p, payload(peer, lane, d.received[lane], len(p)-8)) {
		return fmt.Errorf("lane %d: message %d, of %d bytes, arrived as number %d", lane, binary.BigEndian.Uint64(p), len(p), d.received[lane])
	}
	d.received[lane]++
	return nil
}
