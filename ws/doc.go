// Package ws provides WebSockets as sessions of chanio, accepted by any
// net/http server or dialed. They are used with Recv, Send and select like TCP
// sessions, and join the same hubs.
//
// # Usage
//
//	h := ws.NewHandler(ctx, &ws.Options{Text: true})
//	http.Handle("/chat", h)
//	go http.ListenAndServe(":8080", nil)
//	for s := range h.Listener().Sessions() {
//		go func() {
//			defer s.Close()
//			for m := range s.Recv() {
//				h.Listener().Multicast(m)
//			}
//		}()
//	}
//
// # Messages
//
// A message is delivered whole, whatever frames it came in. The library answers
// pings, pings idle connections, detects peers that do not answer, and performs
// the close handshake. A hub's message is framed once for all browsers, and
// deflated once for all that negotiated compression.
//
// # Ends
//
// Close and CloseWrite send a close frame with code 1000, a Shutdown of the
// listener or client sends 1001, and [CloseWith] sends the given code, in each
// case after everything accepted before. A peer's close with 1000, 1001 or no
// code is a clean end, and [PeerClose] returns its code. Any other close is a
// [CloseError] in Err. A violation of the protocol by the peer is one too, and
// the peer is sent the code that RFC 6455 specifies. A connection that ends
// without a close has code 1006.
//
// TCP's end of stream follows our close frame at once.
//
// # Security
//
// A browser's request names the page that it comes from. Unless
// [Options].Origins says otherwise, only pages of the same host are let in.
package ws
