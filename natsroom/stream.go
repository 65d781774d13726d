package natsroom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A stream is the JetStream stream of a node's rooms with History. The server
// sends on what it has stored, to plain subscribers: no consumer has to be kept.
// What a subscriber misses it reads by direct gets.
type stream struct {
	node *node

	mu      sync.Mutex // held across a request to the server, which its ctx bounds
	js      jetstream.JetStream
	config  jetstream.StreamConfig
	ready   bool
	broken  bool      // the last request failed, or the server was lost
	created time.Time // another time says that it is another stream
	epoch   int       // how many streams there have been
}

// requestTimeout bounds a request to the server.
const requestTimeout = 2 * time.Second

// ensure makes the stream if it is not there, and checks the one that is.
func (s *stream) ensure(ctx context.Context, h *History) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready {
		return nil
	}
	prefix := s.node.prefix
	js, err := jetstream.New(s.node.nc)
	if err != nil {
		return err
	}
	s.js = js
	storage := jetstream.FileStorage
	if h.Memory {
		storage = jetstream.MemoryStorage
	}
	s.config = jetstream.StreamConfig{
		Name:              strings.ToUpper(strings.NewReplacer(".", "_", "/", "_", "\\", "_").Replace(prefix)) + "_ROOMS",
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
	if err := s.make(ctx); err != nil {
		return fmt.Errorf("Options.History: the stream %q: %w", s.config.Name, err)
	}
	s.ready = true
	return nil
}

// make makes the stream or finds it. The caller holds mu.
func (s *stream) make(ctx context.Context) error {
	st, err := s.js.CreateStream(ctx, s.config)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		st, err = s.js.Stream(ctx, s.config.Name)
	}
	switch {
	case err == nil:
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

// noteMade notes which stream it is. The caller holds mu.
func (s *stream) noteMade(is *jetstream.StreamInfo) {
	if !s.created.Equal(is.Created) {
		s.created = is.Created
		s.epoch++
	}
	s.broken = false
}

// refresh makes the stream again if the server has lost it.
func (s *stream) refresh() error {
	_, err := s.last()
	return err
}

// last returns the last sequence of the stream, all rooms together, as its
// leader knows it.
func (s *stream) last() (uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ready {
		return 0, nil // no room has History
	}
	st, err := s.js.Stream(ctx, s.config.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if err = s.make(ctx); err == nil {
			st, err = s.js.Stream(ctx, s.config.Name)
		}
	}
	if err != nil {
		s.broken = true
		return 0, err
	}
	is := st.CachedInfo()
	s.noteMade(is)
	return is.State.LastSeq, nil
}

// stale reports whether the server has to be asked again.
func (s *stream) stale() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready && s.broken
}

// broke notes that the server has to be asked again.
func (s *stream) broke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = true
}

// current returns which stream it is, counted from 1.
func (s *stream) current() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// A getRequest is a direct get of up to Batch messages of a subject.
type getRequest struct {
	Seq      uint64     `json:"seq,omitempty"`
	NextFor  string     `json:"next_by_subj"`
	Batch    int        `json:"batch"`
	MaxBytes int        `json:"max_bytes"`
	Start    *time.Time `json:"start_time,omitempty"`
}

// A stored is a message of the stream.
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

// get returns up to batch messages of subject, from sequence seq on or, if that
// is 0, from start on. None is no error.
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
	answers := make(chan *nats.Msg, batch+1) // what one get brings
	sub, err := nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe() // it fails only if the connection is closed
	s.mu.Lock()
	name := s.config.Name
	s.mu.Unlock()
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
			case "204", "404": // the end of the batch; there is none
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
	s.pending, _ = strconv.ParseUint(m.Header.Get("Nats-Num-Pending"), 10, 64) // old servers do not tell
	s.data = m.Data
	return s, nil
}
