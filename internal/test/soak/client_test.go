//go:build unix

package soak

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/chanio"
)

// An outcome is a client's account of its conversation.
type outcome struct {
	Plan     plan
	Sent     int64   // bytes that it sent: its whole stream
	Ended    bool    // in the way that it wanted, with all of them flushed
	Received int64   // bytes of the server's stream
	Report   *report // the summary, if it arrived
	FirstHub int64   // the numbers of the hub's messages; 0 if none arrived
	LastHub  int64
	Err      string // the error that the session ended with
	Wrong    string // a broken promise, as seen from here
}

// A client has one conversation.
type client struct {
	place   place
	plan    plan
	o       *chanio.Options
	s       *chanio.Session
	outcome outcome

	decoder decoder
	in      stream
	got     int
}

// run connects and has the conversation.
func (c *client) run(ctx context.Context) outcome {
	c.outcome.Plan = c.plan
	c.decoder.wire = c.place.wire()
	if c.plan.Connect {
		owner := chanio.Connect(ctx, c.place.Network, c.place.Address, c.o)
		select {
		case c.s = <-owner.Sessions():
			c.converse(ctx)
		case <-time.After(timeout):
			c.wrong(errors.New("Connect gave no session"))
		}
		owner.Close()
		if st := owner.Stats(); st.Sessions != 0 || st.BytesPending != 0 {
			c.wrong(fmt.Errorf("after Close of the client: %+v", st))
		}
		return c.outcome
	}
	if err := c.dial(ctx); err != nil {
		c.wrong(err)
		return c.outcome
	}
	c.converse(ctx)
	return c.outcome
}

// dial connects. The server may be restarting, so dial tries until it
// succeeds.
func (c *client) dial(ctx context.Context) error {
	for began := time.Now(); ; {
		s, err := chanio.Dial(ctx, c.place.Network, c.place.Address, c.o)
		if err == nil {
			c.s = s
			return nil
		}
		if time.Since(began) > timeout {
			return err
		}
		pause(5*time.Millisecond, ctx.Done())
	}
}

func (c *client) wrong(err error) {
	if err != nil && c.outcome.Wrong == "" {
		c.outcome.Wrong = err.Error()
	}
}

// converse sends and receives at the same time, as planned.
func (c *client) converse(ctx context.Context) {
	var sending sync.WaitGroup
	sending.Go(func() { c.send(ctx) })
	_, c.in = streamsOf(c.plan.ID)
	hearAll(c.s, c.plan.Batches, func(m []byte) bool {
		if err := c.decoder.feed(m, c.take); err != nil {
			c.wrong(err)
			c.s.Abort(err)
		}
		return false
	})
	sending.Wait()
	if c.plan.Service == source && c.plan.Ending == orderly {
		c.outcome.Ended = c.s.CloseWrite() == nil
	}
	<-c.s.Done()
	if err := c.s.Err(); err != nil {
		c.outcome.Err = err.Error()
	}
	c.outcome.Received = c.in.offset
	if st := c.s.Stats(); st.BytesPending != 0 || st.Sessions != 0 {
		c.wrong(fmt.Errorf("after the end: %+v", st))
	}
}

// send is the sending side; converse waits for it.
func (c *client) send(ctx context.Context) {
	rng := c.plan.rand(2)
	v := voice{s: c.s, rng: rng, batches: c.plan.Batches}
	out, _ := streamsOf(c.plan.ID)
	w := c.place.wire()
	messages := c.plan.Messages
	if c.plan.Service == source {
		messages = 0
	}
	if !v.say(ctx, w.encodeJSON(hello, c.plan)) {
		return
	}
	for i := range messages {
		if i == c.plan.WriteStallAt {
			pause(c.plan.Stall, c.s.Done())
		}
		if c.plan.Ending == reset && i == c.plan.EndAfter {
			break
		}
		if !v.say(ctx, w.encode(data, out.next(c.plan.size(rng)))) {
			return
		}
	}
	c.outcome.Sent = out.offset
	switch {
	case c.plan.Ending == reset:
		c.s.Abort(nil)
	case c.plan.Ending == closing:
		c.outcome.Ended = c.s.Close() == nil
	case c.plan.Service == source:
		// The server is the first to close.
	default:
		c.outcome.Ended = c.s.Flush(ctx) == nil && c.s.CloseWrite() == nil
	}
}

func (c *client) take(k kind, payload []byte) error {
	switch k {
	case data:
		if c.outcome.Report != nil {
			return errors.New("data after the summary")
		}
		if c.got == c.plan.ReadStallAt {
			pause(c.plan.Stall, c.s.Done())
		}
		c.got++
		return c.in.expect(payload)
	case published:
		if len(payload) < 8 {
			return errors.New("a short hub message")
		}
		return c.takePublished(int64(binary.BigEndian.Uint64(payload)), payload[8:])
	case summary:
		if c.outcome.Report != nil {
			return errors.New("two summaries")
		}
		return json.Unmarshal(payload, &c.outcome.Report)
	}
	return fmt.Errorf("a message of kind %d", k)
}

// takePublished takes the hub's next message. Each must follow the one before.
func (c *client) takePublished(number int64, padding []byte) error {
	switch {
	case c.outcome.FirstHub == 0:
		c.outcome.FirstHub = number
	case number != c.outcome.LastHub+1:
		return fmt.Errorf("hub message %d after %d", number, c.outcome.LastHub)
	}
	c.outcome.LastHub = number
	if string(padding) != string(noise[:len(padding)]) {
		return fmt.Errorf("hub message %d is broken", number)
	}
	return nil
}
