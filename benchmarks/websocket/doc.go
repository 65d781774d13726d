// Package websocket compares WebSocket servers: chanio's hub and sessions with
// gorilla/websocket (prepared messages), coder/websocket and lxzan/gws (its
// Broadcaster), each used the way its users use it. The clients are raw
// connections in the same process that only read and use no library.
//
//	go test -run=NONE -bench 'Multicast/.*/clients=100/' -benchtime 1s ./websocket
//	go test -run=NONE -bench Echo ./websocket
//	go test -run=NONE -bench 'Idle|Fanout' ./websocket
package websocket
