package chanio

import "time"

// The export files give package chanio_test what it needs of the internals. A
// test that needs more than a name or a probe is in package chanio.

const (
	AcceptPauseMin        = acceptPauseMin
	Attention             = attention
	BlockSize             = blockSize
	ClaimFactor           = claimFactor
	CopyLimit             = copyLimit
	DefaultCloseTimeout   = defaultCloseTimeout
	DefaultMaxHandshakes  = defaultMaxHandshakes
	DefaultMessageQueue   = defaultMessageQueue
	DefaultQueue          = defaultQueue
	DefaultUDPMaxSessions = defaultUDPMaxSessions
	DefaultWriteTimeout   = defaultWriteTimeout
	FewHubs               = fewHubs
	MaxHeader             = maxHeader
	MaxOverhead           = maxOverhead
	MaxPackets            = maxPackets
	MaxRecord             = maxRecord
	MaxReplies            = maxReplies
	NetWriteSize          = netWriteSize
	NoPause               = noPause
	RecordBlockSize       = recordBlockSize
	RecvBytes             = recvBytes
	ReloadPatience        = reloadPatience
	ReloadPauseMin        = reloadPauseMin
	ShortRest             = shortRest
	TidyMin               = tidyMin
	WakeAtOnce            = wakeAtOnce
)

const (
	ErrAddressInUse = errAddressInUse
	ErrRefused      = errRefused
)

var (
	ErrBatchGone = errBatchGone
	ErrGivenUp   = errGivenUp
)

var (
	AbortConn = abortConn
	HostOf    = hostOf
	UnmapAddr = unmapAddr
	WrapOp    = wrapOp
)

// Drain is drain over messages of a type that has a size.
func Drain[T any](c <-chan T, size func(T) int) (messages, bytes int64) { return drain(c, size) }

// NewTimeout returns the error of a timeout.
func NewTimeout(option string, d time.Duration) error { return &timeoutError{option, d} }

// Resolve returns o with its defaults.
func (o *Options) Resolve(udp bool) (*settings, error) { return o.resolve(udp) }

func (b Backoff) Held(lived, pause time.Duration) bool       { return b.held(lived, pause) }
func (b Backoff) Next(pause time.Duration) time.Duration     { return b.next(pause) }
func (b Backoff) Jittered(pause time.Duration) time.Duration { return b.jitter(pause) }

// An EventQueue is what carries the events of a listener, client or hub.
type EventQueue = eventQueue

// NewEventQueue returns a queue with o's settings.
func NewEventQueue(o *Options) (*EventQueue, error) {
	set, err := o.resolve(false)
	if err != nil {
		return nil, err
	}
	return newEventQueue(set), nil
}

func (q *eventQueue) Emit(e Event)          { q.emit(e) }
func (q *eventQueue) Channel() <-chan Event { return q.channel() }
func (q *eventQueue) Close(err error)       { q.close(err) }
func (q *eventQueue) Lost() int64           { return q.lost() }

// Early returns how many events q has room for until its channel is made.
func (q *eventQueue) Early() int { return cap(q.early.ring) }

// Buffered returns how many events q's channel has room for, 0 while there is
// none.
func (q *eventQueue) Buffered() int { return cap(q.ch) }

// Overflow makes b a batch of more than 4 GiB.
func (b *Batch) Overflow() { b.over = true }
