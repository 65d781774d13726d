// Package chanio provides channel-based socket servers and clients: TCP, TLS,
// Unix sockets, UDP and UDP multicast, plus timers, a serial executor and a
// fan-out hub. Everything works with select, every lifetime is bound to a
// context, and there are no callbacks.
//
// # Usage
//
// A server is a loop over sessions. A session is a pair of channels:
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
// accept sessions, [Dial] makes one, [Connect] keeps one up by redialing, and
// [NewSession] starts one over any net.Conn. Options.TLS adds TLS to stream
// sessions; [ServerTLS] and [ClientTLS] build the usual configs from files.
// [Session.NetConn] adapts a session for code that wants a net.Conn.
//
// A raw stream has no messages. Recv yields what one read returned, so two
// writes by the peer may arrive as one message, or one write as three.
// Options.Framing cuts the stream into whole messages: use [Lines],
// [Delimiter], [LengthPrefix] or your own [Framing]. On udp a message is a
// datagram and a session is a peer's address. [PacketConn] is the endpoint one
// level below that; it can join multicast groups.
//
// [Listener.Multicast] sends to all sessions of a listener. A [Hub] sends to
// the sessions that joined it. Either copies a message once, whatever the
// number of receivers.
//
// A [Timer] delivers a deadline on a channel. A [Service] runs functions one at
// a time.
//
// Package [example.com/chanio/chaniotest] is an unreliable in-memory network
// for testing handlers.
//
// # Channels
//
// The library sends on Sessions, Recv, Events and C, and closes them. Users
// send on Send, which the library never closes. Every queue is short and
// bounded by an option, and nothing is dropped silently. If the other end of a
// channel is not served:
//
//   - [Session.Recv]: reading stops, and TCP's window then stops the peer. A
//     udp session drops datagrams and counts them. The same holds for
//     [Session.RecvBatch], which delivers the same messages, many in one value.
//   - [Session.Send], while the peer reads nothing: the send blocks, and after
//     Options.WriteTimeout without progress the session ends. After the session
//     has ended there is no receiver: a send without a select on [Session.Done]
//     blocks forever, and a message that still fits the buffer is lost.
//     [Session.Put] and [Session.Write] do that select and return an error.
//   - [Listener.Sessions]: accepting pauses. Running sessions do not. The
//     receiver of a session must end it.
//   - Events: the oldest are dropped and counted. They are for observing; clean
//     up when Done is closed.
//
// A slice belongs to its receiver once sent. Do not modify a slice after
// sending it; sending it to several sessions is fine. Write and Multicast copy.
//
// # Lifetimes
//
// A [Session] ends when both directions have ended. The peer's end of stream
// closes Recv, but the session stays writable so that the last replies get out,
// until [Session.CloseWrite], [Session.Close], or Options.HalfCloseTimeout
// without progress. Handlers should defer Close, but one that forgets leaks
// nothing.
//
//   - Close closes Recv, sends what was accepted and the end of stream, waits
//     for all of that, and returns an error if something could not be sent.
//   - CloseWrite sends what was accepted and the end of stream. Receiving
//     continues.
//   - [Session.Abort] ends the session at once, TCP with a reset.
//   - [Session.Flush] ends nothing. It returns when everything accepted is in
//     the kernel. Accepted does not mean delivered, and in the kernel does not
//     mean received by the peer.
//
// A [Listener] and a [Client] own their sessions. Shutdown stops reading,
// closes every Recv and waits for the handlers to end their sessions. Close
// aborts the sessions. Both return when all of the library's goroutines have
// exited, as does a session's Close. Restart and Reconnect keep the channels
// open.
//
// # Cancellation
//
// The context passed to a constructor bounds the object's lifetime, not the
// call. When it ends, the object and all its sessions end at once without
// flushing, their channels are closed, and Err is context.Cause. For graceful
// shutdown, listen with a context that outlives the server's and call
// [Listener.Shutdown] to stop. A context.WithTimeout around [Dial] would end
// the session when the time is up; use Options.DialTimeout to bound dialing.
//
// [Session.Context] is canceled when the session ends, and its cause is what
// ended the session. Pass it to whatever a handler calls. The context passed to
// Shutdown, Flush or Restart bounds that call.
//
// # Errors
//
// A closed channel means that there is no more to receive. Err says why: nil
// after a clean end (the peer's end of stream, CloseWrite, Close, Shutdown),
// otherwise the cause. The first cause wins. Err is set before the channels are
// closed.
//
// Errors wrap the system's error and work with errors.Is and errors.As:
// [ErrClosed], which is also net.ErrClosed, for calls after the end;
// os.ErrDeadlineExceeded for the idle, write, message and close timeouts;
// [ErrMessageTooLarge], [ErrLagged], [ErrFull] and [ErrTooManySessions] for
// limits that a peer or a user can hit. An accept, a handshake or a dial that
// fails without ending anything else is reported as an [EventFailed].
//
// Invalid options are an error that names the field. Functions without an error
// result return an object that has already ended with that Err, so a loop over
// its channel ends at once.
//
// # Memory
//
// An idle session over a socket holds no read buffer; elsewhere (net.Pipe, TLS on
// Windows) it holds 4 KiB. A slice from Recv belongs to its receiver and is
// never reused, so receiving allocates as fast as it reads. The memory of a
// [Batch] is recycled when the batch is sent or released: for many small
// messages, [Session.RecvBatch] and [Session.SendBatch] cost a fraction of Recv
// and Send.
//
// # Limitations
//
// An end of stream inside TLS can be forged only between two records:
// crypto/tls cannot tell a FIN there from a close_notify. A protocol that must
// know needs framing or its own end marker. A TLS 1.2 peer may discard data
// still in flight to it when it receives our close_notify.
//
// Half-close is limited to TCP, TLS and Unix sockets; elsewhere CloseWrite
// means Close. NetConn requires a raw stream. A udp listener drops datagrams
// rather than let one peer hold up another, and nothing is retransmitted.
// Datagrams are batched on Linux only; other systems move them one at a time.
//
// Only Linux tells what a TCP peer has acknowledged, and that a peer has gone
// before everything that it sent was received. Elsewhere what the kernel has
// taken counts as acknowledged: Close then waits 500 ms for the peer's end of
// stream and returns nil, although a slow peer that still sends may lose what is
// on its way. A peer that vanished is noticed once the kernel takes no more, and
// one that ended while Recv is full once someone receives.
//
// What a system does not support is errors.ErrUnsupported.
package chanio
