// Package natsroom makes the hubs of many nodes one room, over NATS.
//
// # Usage
//
// Each process joins the room with its connection and its hub. What any of them
// publishes reaches the members of all hubs:
//
//	hub := chanio.NewHub(ctx, nil)
//	room, err := natsroom.Join(ctx, nc, "lobby", hub, nil)
//	…
//	hub.Join(session)                  // or room.Replay(session, 50, time.Time{})
//	room.Publish([]byte("hello\n"))    // to all members, on all nodes
//
// Package embedded starts a NATS server in the process, for programs that have
// none.
//
// # Order
//
// In a room with a history, all members on all nodes see the messages in one
// order, the stream's. Without a history, each node's messages are seen in the
// order in which it published them, but messages of two nodes may be seen in
// either order, even with a single NATS server, which handles two connections
// independently. There is no order between two rooms.
//
// # What is promised
//
// Without Options.History, each member gets each message at most once.
// Everything that a node's members miss, because a connection or server was lost
// or the node was too slow, is reported by EventLagged with the exact count, once
// the node is connected again and has the publisher's next message or heartbeat.
// There are two exceptions. No other node knows how much a node published last
// before it died. And a node that has just subscribed does not know how far those
// publishers had come that joined before it, or at about the same time: what it
// misses until the first message or heartbeat of one of them arrives is not
// reported. One arrives at once, unless the connection is lost in that moment.
//
// With Options.History, each member that stays gets each message once, across
// restarts of the server and reconnects of any node, and new members get earlier
// messages by Replay. A message counts as published once the stream has it: see
// Room.Flush. What the stream dropped before a node could read it, or a server
// lost with its disk, is reported like any loss, once a later message of its
// publisher arrives.
//
// A node that dies takes only its own sessions with it. A slow node holds up no
// other node: its own backlog is bounded (Options.MaxPending).
//
// # Lifetimes
//
// A room lives until the context given to Join ends, until Close, or until the
// connection is closed. It ends neither the hub nor the connection. A room whose
// hub has no members costs its node no subscription, and an idle one no
// goroutine.
//
// # Limitations
//
// Members are counted by what nodes report to one another: see Room.Members. A
// connection joins a room once. Rooms do not support JetStream domains.
//
// The clocks of the nodes must agree to within a second. Otherwise, what a node
// misses of another that has just joined the room may go unreported, or be
// reported although nothing was lost.
package natsroom
