// Package chaniotest is a bad network for tests: connections in memory that are
// slow, break, stall and vanish when the test says so, and a relay that loses,
// repeats and reorders datagrams.
//
// # Usage
//
// A handler is tested with a session at the other end, and a [Link] between the
// two:
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
// [Pipe] returns the bare ends of such a connection, to test what is said byte
// by byte, or with TLS over it. [Listener] is for servers: [chanio.Serve] takes
// it, and its Dial connects over a link of its own. Options.Dialer is a
// *net.Dialer, which reaches sockets only: what a client does with its sessions
// is tested with NewSession over what Dial or Pipe return.
//
// # Faults
//
// Each direction of a connection is a [Path], with a latency, a bandwidth, a
// bounded buffer, and a list of what happens at which byte: [EOF], [Reset] or
// [Stall]. A loop over all bytes of a conversation finds what a handler does when
// it breaks anywhere; a loop over the seeds of [RandomLink] finds the rest.
//
// A Read may be short at any time. A Write that is short has an error, as package
// net promises: a deadline or a reset that came when a part of it was taken.
//
// # Determinism
//
// In a bubble of testing/synctest all waiting is durable and all time is the
// bubble's. What happens to a byte depends on its place in the stream, the Seed
// and when it was written: not on how many calls wrote or read it, nor on the
// scheduler. There are no goroutines but those of a [Relay].
//
// # Datagrams
//
// For udp chanio takes addresses only, so there is a [Relay] between real
// sockets on loopback. A handler of udp sessions that is to be tested in a
// bubble may as well get one of [Sessions], with Framing for the borders of
// messages.
package chaniotest
