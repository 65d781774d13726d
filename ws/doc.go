// Package ws makes WebSockets sessions of chanio: accepted by any net/http
// server, or dialed, used with Recv, Send and select as TCP's are, in hubs
// together with them.
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
// A message is a message, whatever frames it came in. Pings are answered, sent
// on idle connections, and a peer that does not answer is found; the close
// handshake is the library's. A hub's message is framed once for all browsers,
// and deflated once for all that agreed on compression.
//
// # Ends
//
// Close and CloseWrite send a close frame with code 1000, a Shutdown of the
// listener or client 1001, [CloseWith] what it is told, all after what was
// accepted before. A peer's close with 1000, 1001 or without a code is a clean
// end, whose code [PeerClose] has; any other is a [CloseError] in Err, as is
// what a peer did against the protocol, which is told the code that RFC 6455
// names. A connection that ends without a close is one with code 1006.
//
// After our close frame TCP's end of stream follows at once.
//
// # Security
//
// A browser's request names the page that it comes from: unless [Options].Origins
// says more, only pages of the same host are let in.
package ws
