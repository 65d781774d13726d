// Package natsroom has hubs on many nodes be one room, by NATS.
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
// Package embedded starts a NATS server in the process, for those who have none.
//
// # Order
//
// All members on all nodes see the messages of a room with a history in one order,
// the stream's. Without one each node's messages are seen in the order in which it
// published them, but those of two nodes may be seen in either order: also a
// single NATS server handles two connections apart. There is no order between two
// rooms.
//
// # What is promised
//
// Without Options.History each member gets each message at most once. All that
// the members of a node miss, because a connection or server was lost or the node
// was too slow, is told by EventLagged, with the exact count, once the node is
// connected again and the publisher's next message or heartbeat is there. The
// exception is the end of what a node published that itself has died: nobody
// knows how much that was.
//
// With it each member that stays gets each message once, over restarts of the
// server and reconnects of any node, and new members get what was said before by
// Replay. A message counts as published once the stream has it: see Room.Flush.
// What the stream has dropped before a node could read it, or a server lost with
// its disk, is told like any loss.
//
// A node that dies takes only its own sessions with it. A node that is slow holds
// up nobody else: its own backlog is bounded (Options.MaxPending).
//
// # Lifetimes
//
// A room lives as long as the context that Join was given, until Close, or until
// the connection is closed. It ends neither the hub nor the connection. A room
// whose hub has no members costs its node no subscription, and an idle one no
// goroutine.
//
// # Limitations
//
// Members are counted by what nodes tell one another: see Room.Members. A
// connection joins a room once. Rooms do not speak JetStream domains.
package natsroom
