package natsroom

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Options configures a room. Zero values mean the defaults, as does a nil
// *Options. For an invalid value [Join] returns an error that names the field.
// Options are not modified and may be shared.
type Options struct {
	// Prefix begins all subjects in use ("chanio"). Rooms under different
	// prefixes are different rooms. Permissions are needed for "PREFIX.>" and,
	// with History, for "$JS.API.>" and "_INBOX.>".
	Prefix string

	// History, if not nil, keeps the messages in a JetStream stream. All nodes
	// of a room must agree on whether there is one.
	History *History

	// MaxPending bounds, in bytes, what a room holds for NATS (8 MiB): what has
	// arrived but its hub has not taken yet and, with History, separately what
	// was published but is not acknowledged yet. What arrives beyond the first
	// bound is lost and reported or, with History, read again from the stream.
	// Past the second bound, Publish blocks.
	MaxPending int

	// JoinTimeout bounds how long Join waits for the server, and a Replay for
	// its next answer (10 seconds).
	JoinTimeout time.Duration

	// PublishTimeout bounds how long Publish waits for room with History (10
	// seconds).
	PublishTimeout time.Duration

	// EventQueue is how many events Events buffers (64).
	EventQueue int

	// Logger, if not nil, logs the events that Events delivers.
	Logger *slog.Logger
}

// History configures what the stream keeps. One stream serves all rooms under a
// prefix. The first Join creates it; an existing stream is used as it is.
type History struct {
	// MaxAge is how long a message is kept (1 hour); negative means forever.
	MaxAge time.Duration
	// MaxBytes bounds the stream, all rooms together (256 MiB); negative means
	// the server's limit. The oldest messages go first.
	MaxBytes int64
	// MaxPublishes bounds what is kept of each room, in calls of Publish or
	// PublishBatch; 0 means that only MaxBytes applies.
	MaxPublishes int64
	// Replicas is how many servers of a cluster keep the stream (1).
	Replicas int
	// Memory keeps the stream in the server's memory instead of its files. It is
	// lost when the server restarts.
	Memory bool
}

const (
	defaultPrefix     = "chanio"
	defaultMaxPending = 8 << 20
	defaultTimeout    = 10 * time.Second
	defaultEvents     = 64
	defaultMaxAge     = time.Hour
	defaultMaxBytes   = 256 << 20
)

// resolve returns a copy of o with the defaults filled in.
func (o *Options) resolve() (Options, error) {
	var set Options
	if o != nil {
		set = *o
	}
	if set.Prefix == "" {
		set.Prefix = defaultPrefix
	}
	if err := checkSubject(set.Prefix); err != nil {
		return set, fmt.Errorf("Options.Prefix %q: %w", set.Prefix, err)
	}
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"MaxPending", int64(set.MaxPending)},
		{"JoinTimeout", int64(set.JoinTimeout)},
		{"PublishTimeout", int64(set.PublishTimeout)},
		{"EventQueue", int64(set.EventQueue)},
	} {
		if f.value < 0 {
			return set, fmt.Errorf("a negative Options.%s", f.name)
		}
	}
	set.MaxPending = orDefault(set.MaxPending, defaultMaxPending)
	set.JoinTimeout = orDefault(set.JoinTimeout, defaultTimeout)
	set.PublishTimeout = orDefault(set.PublishTimeout, defaultTimeout)
	set.EventQueue = orDefault(set.EventQueue, defaultEvents)
	if set.History != nil {
		h := *set.History
		h.MaxAge = max(orDefault(h.MaxAge, defaultMaxAge), 0) // to JetStream 0 means forever
		h.MaxBytes = max(orDefault(h.MaxBytes, defaultMaxBytes), -1)
		h.Replicas = orDefault(h.Replicas, 1)
		if h.MaxPublishes < 0 || h.Replicas < 0 {
			return set, errors.New("a negative MaxPublishes or Replicas in Options.History")
		}
		set.History = &h
	}
	return set, nil
}

func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

// maxName bounds a room's name, in bytes. A subject must stay well below a NATS
// server's max_control_line (4096).
const maxName = 1024

// checkSubject returns why s can't be part of a NATS subject. Dots are allowed:
// "chess.table7".
func checkSubject(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("it is empty")
	case len(s) > maxName:
		return fmt.Errorf("it is longer than %d bytes", maxName)
	case !utf8.ValidString(s):
		return fmt.Errorf("it is not UTF-8")
	case strings.ContainsAny(s, "*>"):
		return fmt.Errorf("it has a wildcard")
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return fmt.Errorf("it has a space or a control character")
	case strings.HasPrefix(s, "."), strings.HasSuffix(s, "."), strings.Contains(s, ".."):
		return fmt.Errorf("a dot is not between two names")
	case strings.HasPrefix(s, "$"):
		return fmt.Errorf("it begins with $, which is the server's")
	}
	return nil
}
