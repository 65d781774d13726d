package natsroom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A stream is the JetStream stream of a node's rooms with History. The server
// republishes what it has stored to plain subscribers, so no consumers are
// needed. A subscriber reads what it missed by direct gets.
type stream struct {
	node   *node
	ready  atomic.Bool
	broken atomic.Bool  // the last request failed, or the server was lost
	epoch  atomic.Int64 // when it was created: a different time means a different stream

	turn   chan struct{} // full while a request is under way; its owner owns the fields below
	js     jetstream.JetStream
	config jetstream.StreamConfig
}

// requestTimeout bounds a request to the server.
const requestTimeout = 2 * time.Second

// ensure creates the stream if there is none and checks an existing one. It
// retries while the server says that it cannot create it yet, as servers of a
// cluster that has only just started do.
func (s *stream) ensure(ctx context.Context, h *History) error {
	var last error
	for pause := minPause; !s.ready.Load(); pause = min(2*pause, maxPause) {
		err := s.tryEnsure(ctx, h)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			if last == nil {
				last = err
			}
			// The server refuses a request by an error of the connection, and never answers it.
			if refused := s.node.nc.LastError(); errors.Is(refused, nats.ErrPermissionViolation) {
				last = refused
			}
			return fmt.Errorf("Options.History: the stream %q: %w: the last error is: %w", s.name(), context.Cause(ctx), last)
		case !s.passing(err):
			return fmt.Errorf("Options.History: the stream %q: %w", s.name(), err)
		}
		last = err
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	return nil
}

// passing reports whether err may be temporary.
func (s *stream) passing(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) {
		return true
	}
	if s.node.nc.ConnectedClusterName() == "" {
		return false // a single server does not wait for others
	}
	var refused *jetstream.APIError
	if !errors.As(err, &refused) {
		return errors.Is(err, nats.ErrNoResponders)
	}
	switch refused.ErrorCode {
	case errNoPeers, errNotEnabledForAccount, errNoResources:
		return true
	}
	return refused.Code == 503 // no leader yet, 10008, and the like
}

// Codes that JetStream also returns while a cluster's servers have not all met.
const (
	errNoPeers              jetstream.ErrorCode = 10005
	errNoResources          jetstream.ErrorCode = 10023
	errNotEnabledForAccount jetstream.ErrorCode = 10039
)

// tryEnsure is one attempt of ensure.
func (s *stream) tryEnsure(ctx context.Context, h *History) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()
	if s.ready.Load() {
		return nil
	}
	js, err := jetstream.New(s.node.nc)
	if err != nil {
		return err
	}
	s.js, s.config = js, s.configFor(h)
	if err := s.make(ctx); err != nil {
		return err
	}
	s.ready.Store(true)
	return nil
}

// begin waits for the turn to ask the server; end gives it up.
func (s *stream) begin(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *stream) end() { <-s.turn }

// name returns the stream's name.
func (s *stream) name() string {
	return strings.ToUpper(strings.NewReplacer(".", "_", "/", "_", "\\", "_").Replace(s.node.prefix)) + "_ROOMS"
}

func (s *stream) configFor(h *History) jetstream.StreamConfig {
	prefix, storage := s.node.prefix, jetstream.FileStorage
	if h.Memory {
		storage = jetstream.MemoryStorage
	}
	return jetstream.StreamConfig{
		Name:              s.name(),
		Description:       "what was said in chanio's rooms",
		Subjects:          []string{prefix + ".keep.>"},
		RePublish:         &jetstream.RePublish{Source: prefix + ".keep.>", Destination: prefix + ".kept.>"},
		AllowDirect:       true,
		MaxAge:            h.MaxAge,
		MaxBytes:          h.MaxBytes,
		MaxMsgsPerSubject: h.MaxPublishes,
		Replicas:          h.Replicas,
		Storage:           storage,
	}
}

// make creates the stream or finds it. The caller has the turn.
func (s *stream) make(ctx context.Context) error {
	st, err := s.js.CreateStream(ctx, s.config)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		st, err = s.js.Stream(ctx, s.config.Name)
	}
	switch {
	case err == nil:
	case s.passing(err):
		return err
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled),
		errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount),
		errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("the server has no JetStream: %w", err)
	default:
		return err
	}
	is := st.CachedInfo()
	if is.Config.RePublish == nil || *is.Config.RePublish != *s.config.RePublish || !is.Config.AllowDirect {
		return errors.New("it exists and is not for rooms: it must republish and allow direct gets")
	}
	s.noteMade(is)
	return nil
}

// noteMade records which stream it is. The caller has the turn.
func (s *stream) noteMade(is *jetstream.StreamInfo) {
	s.epoch.Store(is.Created.UnixNano())
	s.broken.Store(false)
}

// last returns the last sequence of the stream, across all rooms, as its leader
// knows it. It recreates the stream if the server has lost it.
func (s *stream) last() (uint64, error) {
	ctx, cancel := context.WithTimeout(s.node.ctx, requestTimeout)
	defer cancel()
	if !s.ready.Load() {
		return 0, nil // no room has History
	}
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.end()
	st, err := s.js.Stream(ctx, s.config.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if err = s.make(ctx); err == nil {
			st, err = s.js.Stream(ctx, s.config.Name)
		}
	}
	if err != nil {
		s.broken.Store(true)
		return 0, err
	}
	is := st.CachedInfo()
	s.noteMade(is)
	return is.State.LastSeq, nil
}

// stale reports whether the server must be asked again.
func (s *stream) stale() bool { return s.ready.Load() && s.broken.Load() }

// A getRequest is a direct get of up to Batch messages of a subject.
type getRequest struct {
	Seq      uint64     `json:"seq,omitempty"`
	NextFor  string     `json:"next_by_subj"`
	Batch    int        `json:"batch"`
	MaxBytes int        `json:"max_bytes"`
	Start    *time.Time `json:"start_time,omitempty"`
}

// A stored is a message read from the stream.
type stored struct {
	seq     uint64
	time    time.Time
	pending uint64 // how many of its subject come after it
	data    []byte
}

// Bounds of one direct get.
const (
	getBatch = 256
	getBytes = 1 << 20
)

// get returns up to batch messages of subject, from sequence seq or, if that is
// 0, from the time start. It is not an error if there are none.
func (s *stream) get(ctx context.Context, subject string, seq uint64, start time.Time, batch int) ([]stored, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request := getRequest{Seq: max(seq, 1), NextFor: subject, Batch: batch, MaxBytes: getBytes}
	if seq == 0 && !start.IsZero() {
		request.Seq, request.Start = 0, &start
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	nc := s.node.nc
	inbox := nc.NewRespInbox()
	answers := make(chan *nats.Msg, batch+1) // all that one get returns
	sub, err := nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe() // it fails only if the connection is closed
	name := s.name()
	if err := nc.PublishRequest("$JS.API.DIRECT.GET."+name, inbox, body); err != nil {
		return nil, err
	}
	var all []stored
	for {
		select {
		case m := <-answers:
			switch status := m.Header.Get("Status"); status {
			case "":
				one, err := parseStored(m)
				if err != nil {
					return all, err
				}
				all = append(all, one)
			case "204", "404": // end of the batch; no messages
				return all, nil
			default:
				return all, fmt.Errorf("direct get from %q: %s %s", name, status, m.Header.Get("Description"))
			}
		case <-ctx.Done():
			return all, fmt.Errorf("direct get from %q: %w", name, ctx.Err())
		}
	}
}

func parseStored(m *nats.Msg) (s stored, err error) {
	if s.seq, err = strconv.ParseUint(m.Header.Get(nats.JSSequence), 10, 64); err == nil {
		s.time, err = time.Parse(time.RFC3339Nano, m.Header.Get(nats.JSTimeStamp))
	}
	if err != nil {
		return s, fmt.Errorf("an answer of a direct get: %w", err)
	}
	s.pending, _ = strconv.ParseUint(m.Header.Get("Nats-Num-Pending"), 10, 64) // old servers do not send it
	s.data = m.Data
	return s, nil
}
