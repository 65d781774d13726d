// Package chanio makes socket servers and clients of channels: TCP, TLS, Unix
// sockets, UDP and UDP multicast, with timers, a serial executor and a fan-out
// hub, all used with select and bound to contexts, without a callback.
//
// # Usage
//
// A server is a loop over sessions, and a session is a pair of channels:
//
//	l, err := chanio.Listen(ctx, "tcp", ":1111", nil)
//	if err != nil {
//		return err
//	}
//	for s := range l.Sessions() {
//		go func() {
//			defer s.Close()
//			for m := range s.Recv() {
//				select {
//				case s.Send() <- m:
//				case <-s.Done():
//				}
//			}
//		}()
//	}
//	return l.Err()
//
// The same handler serves every transport and both sides: [Listen] and [Serve]
// accept sessions, [Dial] makes one, [Connect] keeps one up by dialing again,
// and [NewSession] starts one over any net.Conn. Options.TLS turns streams into
// TLS; [ServerTLS] and [ClientTLS] make the usual configs from files.
// [Session.NetConn] is a session for code that wants a net.Conn.
//
// A raw stream has no messages: what Recv yields is what one read returned, and
// a peer's two writes may come as one, or one as three. Options.Framing makes
// whole messages of it: [Lines], [Delimiter], [LengthPrefix] or a [Framing] of
// one's own. On udp a message is a datagram, and a session is a peer's address;
// [PacketConn] is the endpoint below that, and joins multicast groups.
//
// [Listener.Multicast] sends to all sessions of a listener, and a [Hub] to those
// that joined it, at the price of one copy, however many they are.
//
// A [Timer] is a deadline in a channel. A [Service] runs functions one at a time.
//
// Package [example.com/chanio/chaniotest] is a bad network in memory, to test
// handlers with.
//
// # Channels
//
// The library sends on Sessions, Recv, Events and C, and closes them; users send
// on Send, which the library never closes. Every queue is short and bounded by
// an option, and nothing is thrown away silently, so each channel answers the
// question of what happens when nobody is at its other end:
//
//   - [Session.Recv] not received: reading stops, and so does, by TCP's window,
//     the peer. A udp session drops datagrams and counts them. The same goes for
//     [Session.RecvBatch], which has the same messages, many in one value.
//   - [Session.Send] while the peer takes nothing: it blocks, and after
//     Options.WriteTimeout without progress the session ends. Once the session
//     has ended nobody receives: a send without a select on [Session.Done]
//     blocks for good, and one that the buffer still takes is lost.
//     [Session.Put] and [Session.Write] do that select, and return an error.
//   - [Listener.Sessions] not received: accepting pauses; sessions that run do
//     not. Each session received is one's own to end.
//   - Events not received: the oldest are dropped and counted. They are for
//     watching; clean up when Done is closed.
//
// A slice belongs to who receives it, and no longer to who sent it: do not
// modify what was sent, but send it to as many sessions as you like. Write and
// Multicast copy.
//
// # Lifetimes
//
// A [Session] ends when both directions have: after the peer's end of stream,
// which closes Recv, it stays writable so that the last answers get out, until
// [Session.CloseWrite], [Session.Close], or Options.HalfCloseTimeout without
// progress. A handler that defers Close is right, and one that forgets to leaks
// nothing.
//
//   - Close closes Recv, sends what was accepted and the end of stream, waits
//     until all is gone, and returns an error if something could not be sent.
//   - CloseWrite sends what was accepted and the end of stream; receiving goes
//     on.
//   - [Session.Abort] ends it at once, TCP with a reset.
//   - [Session.Flush] ends nothing, and returns when all that was accepted is
//     in the kernel: accepted is not delivered, and in the kernel is not yet
//     received by the peer.
//
// A [Listener] and a [Client] own their sessions. Their Shutdown stops reading,
// closes every Recv and waits until the handlers have ended their sessions;
// their Close aborts them. Both return when no goroutine of the library is left,
// as Close of a session does. Restart and Reconnect keep the channels open.
//
// # Cancellation
//
// The context that an object is made with is its lifetime, not that of the
// call: when it ends, the object and all its sessions end at once, without
// flushing, their channels close, and Err is context.Cause. So a server that
// shall end in order listens with a context that outlives it, and calls
// [Listener.Shutdown] when it is told to stop. A context.WithTimeout around
// [Dial] would end the session when that time is up: Options.DialTimeout bounds
// the dialing.
//
// [Session.Context] is cancelled with the session, its cause being what ended
// it: pass it to what a handler calls. The context given to Shutdown, Flush or
// Restart bounds that call.
//
// # Errors
//
// A channel that is closed says that there is no more; Err says why: nil after a
// clean end (the peer's end of stream, CloseWrite, Close, Shutdown), else the
// cause, and the first cause wins. Err is set before the channels close.
//
// Errors wrap what the system said and answer errors.Is and errors.As:
// [ErrClosed], which is also net.ErrClosed, for calls that come after the end;
// os.ErrDeadlineExceeded for the idle, write, message and close timeouts;
// [ErrMessageTooLarge], [ErrLagged], [ErrFull] and [ErrTooManySessions] for the
// bounds that a peer or a user can meet. An accept, a handshake or a dial that
// failed, and that ended nothing but itself, is an [EventFailed].
//
// Options that cannot be right are an error that names the field. Functions
// without an error result return an object that has ended, with that Err, so
// that the loop over its channel ends at once.
//
// # Memory
//
// An idle session over a socket holds no read buffer, and elsewhere (net.Pipe,
// Windows) one of 4 KiB. What Recv yields belongs to its receiver for good and has
// memory of its own, so reading makes garbage as fast as it reads. The memory of a
// [Batch] comes back, once it was sent or released: for messages that are many and
// small, [Session.RecvBatch] and [Session.SendBatch] cost a fraction of Recv and
// Send.
//
// # Limitations
//
// An end of stream inside TLS can be forged only at the border of two records:
// crypto/tls cannot tell a FIN there from a close_notify, so a protocol that
// must know needs framing or an end of its own. A peer that speaks TLS 1.2 may
// drop what is still under way to it when we send our close_notify.
//
// Closing one direction is only for TCP, TLS and Unix sockets: elsewhere
// CloseWrite means Close. NetConn is for raw streams. Hubs and their members
// must have the same framing. A udp listener drops datagrams rather than let
// one peer hold up another, and nothing repeats them. Batches of datagrams are
// Linux's; other systems move them one at a time. What a system cannot do is
// errors.ErrUnsupported.
package chanio
