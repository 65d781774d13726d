// Package chaniotest is an unreliable network for tests: in-memory connections
// that are slow, break, stall and vanish on demand, and a relay that loses,
// duplicates and reorders datagrams.
//
// # Usage
//
// To test a handler, put a session at the other end of it and a [Link] between
// the two:
//
//	func TestHandler(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			client, server := chaniotest.Sessions(t.Context(), nil, nil)
//			go handle(server)
//			client.Put([]byte("hello"))
//			if got := string(<-client.Recv()); got != "hello" {
//				t.Errorf("got %q", got)
//			}
//			client.Close()
//		})
//	}
//
// [Pipe] returns the bare ends of such a connection, to test a conversation
// byte by byte or to run TLS over it. [Listener] is for servers: pass it to
// [chanio.Serve], and connect with its Dial, each time over a separate link.
// Options.Dialer is a *net.Dialer, which reaches only sockets, so test a
// client's use of its sessions with NewSession over a connection from Dial or
// Pipe.
//
// # Faults
//
// Each direction of a connection is a [Path] with a latency, a bandwidth, a
// bounded buffer, and a list of faults at given bytes: [EOF], [Reset] or
// [Stall]. A loop over all bytes of a conversation finds what a handler does
// when it breaks anywhere; a loop over the seeds of [RandomLink] finds the
// rest.
//
// A Read may be short at any time. A short Write returns an error, as package
// net promises: a deadline or a reset that came after part of it was taken.
//
// # Determinism
//
// In a testing/synctest bubble all waiting is durable and all time is the
// bubble's. What happens to a byte depends on its place in the stream, the Seed
// and when it was written. It does not depend on the scheduler or on how many
// calls wrote or read it. Only a [Relay] has goroutines.
//
// # Datagrams
//
// For udp, chanio accepts only addresses, so a [Relay] works between real
// sockets on loopback. To test a handler of udp sessions in a bubble, use one
// of [Sessions] with Framing to preserve message boundaries.
package chaniotest
