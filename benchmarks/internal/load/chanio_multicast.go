package load

import (
	"context"
	"sync"

	"example.com/chanio"
	"example.com/chanio/benchmarks/internal/report"
)

// chanioMulticast counts what sessions receive.
func chanioMulticast(ctx context.Context, c Config) (*report.Report, error) {
	sessions, err := dialSessions(ctx, c)
	defer abortAll(sessions)
	if err != nil {
		return nil, err
	}
	w := newWindow(c)
	var wg sync.WaitGroup
	for _, s := range sessions {
		t := w.tally()
		wg.Go(func() {
			for m := range s.Recv() {
				if w.open.Load() {
					t.bytes.Add(int64(len(m)))
				}
			}
			w.fail(errEnded)
		})
	}
	r := w.measure(ctx)
	abortAll(sessions)
	wg.Wait()
	r.Messages = r.Bytes / int64(c.Size)
	return r, nil
}

// chanioMulticastDatagrams counts what packet endpoints in the endpoint's group
// receive, and what is missing.
func chanioMulticastDatagrams(ctx context.Context, c Config) (*report.Report, error) {
	if c.Size < numberSize {
		return nil, errTooSmall
	}
	o := &chanio.Options{ReadBuffer: c.Endpoint.KernelBuffer}
	var err error
	if o.Multicast.Interface, err = c.Endpoint.Interface(); err != nil {
		return nil, err
	}
	w := newWindow(c)
	var members []*chanio.PacketConn
	var wg sync.WaitGroup
	defer func() {
		for _, p := range members {
			p.Abort(nil)
		}
		wg.Wait()
	}()
	for range c.Clients {
		p, err := chanio.ListenMulticast(ctx, c.Endpoint.Network(), c.Endpoint.Address, o)
		if err != nil {
			return nil, err
		}
		members = append(members, p)
		s := &sequence{window: w, tally: w.tally()}
		wg.Go(func() {
			for m := range p.Recv() {
				s.receive(m.Data)
			}
			w.fail(errEnded)
		})
	}
	return w.measure(ctx), nil
}
