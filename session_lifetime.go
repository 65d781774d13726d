package chanio

// A session's life is the state of its two directions. Each only moves forward:
//
//	output: open → refused → written → ended    CloseWrite, Close
//	        open, refused or written → failed   a write that fails, of the end too
//	input:  open → ended                        the peer's end of stream
//	        open → halted → drained             Close: what arrives is discarded
//
// Either may stop at any point when the session is over.
//
// All of it is one word, so that readers without a lock see a consistent state.
// It is written only with Session.mu held, and before waking anything that acts
// on the new state (closing a channel, writing to the peer). A reader that does
// not hold mu knows that what it saw was true and can only have moved forward
// since.
type life uint32

// outputState is how far sending has progressed.
type outputState uint32

const (
	outputOpen    outputState = iota // messages are accepted
	outputRefused                    // no more are; what was accepted is being written
	outputWritten                    // the kernel has all of it; the end of stream is next
	outputEnded                      // the end of stream was sent
	outputFailed                     // a write failed; nothing more is sent
)

// inputState is how far receiving has progressed.
type inputState uint32

const (
	inputOpen    inputState = iota // what arrives is delivered
	inputHalted                    // what arrives is discarded
	inputDrained                   // discarded up to the peer's end of stream
	inputEnded                     // delivered up to the peer's end of stream
)

const (
	outputMask life = 7
	inputShift      = 3
	inputMask  life = 3 << inputShift

	lifeClosing life = 1 << 5 // Close was called: the session ends with its output
	lifeOver    life = 1 << 6 // the session has ended; nothing changes any more
	lifeWriter  life = 1 << 7 // the writer was started
)

func (l life) output() outputState { return outputState(l & outputMask) }
func (l life) input() inputState   { return inputState(l & inputMask >> inputShift) }

// refusing reports whether messages are no longer accepted.
func (l life) refusing() bool { return l.output() != outputOpen }

// written reports whether the kernel has everything that was accepted.
func (l life) written() bool { return l.output() == outputWritten || l.output() == outputEnded }

// atEnd reports whether the peer's end of stream was seen.
func (l life) atEnd() bool { return l.input() == inputDrained || l.input() == inputEnded }

// hasWriter reports whether the writer was started.
func (l life) hasWriter() bool { return l&lifeWriter != 0 }

// closing reports whether Close was called, over whether the session has ended.
func (l life) closing() bool { return l&lifeClosing != 0 }
func (l life) over() bool    { return l&lifeOver != 0 }

// life returns the session's state.
func (s *Session) life() life { return life(s.word.Load()) }

// over reports whether the session has ended.
func (s *Session) over() bool { return s.life().over() }

// The callers of these hold mu.

func (s *Session) setOutput(o outputState) { s.word.Store(uint32(s.life()&^outputMask | life(o))) }
func (s *Session) setInput(i inputState) {
	s.word.Store(uint32(s.life()&^inputMask | life(i)<<inputShift))
}
func (s *Session) setLife(flag life) { s.word.Store(uint32(s.life() | flag)) }
