package chaniotest

import (
	"errors"
	"net"
	"net/netip"
	"sync"
)

// maxClients bounds the sockets of a relay.
const maxClients = 1024

// A Relay is an unreliable network for datagrams. It forwards what clients send
// to its address to a server, and the replies back, and treats them as a
// [DatagramLink] says. The server sees a different address for each client.
//
// It uses real sockets on loopback, since [chanio.Listen], [chanio.Dial] and
// [chanio.ListenPacket] take addresses for udp, so it does not work in a
// synctest bubble. The seed determines what happens to the nth datagram of the
// nth client in each direction; when it happens depends on the machine.
type Relay struct {
	conn       *net.UDPConn // the clients' side
	server     *net.UDPAddr
	link       DatagramLink
	goroutines sync.WaitGroup

	mu      sync.Mutex
	clients map[netip.AddrPort]*relayed
	closed  bool
}

// relayed is what a relay knows about one client.
type relayed struct {
	conn     *net.UDPConn // the server's side
	up, down *lane
}

// NewRelay starts a relay, which runs until Close, to the server at address
// (host and port). A nil link has no faults. A relay ignores clients beyond the
// first 1,024.
func NewRelay(address string, link *DatagramLink) (*Relay, error) {
	server, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, err
	}
	local := net.IPv6loopback
	if server.IP.To4() != nil {
		local = net.IPv4(127, 0, 0, 1)
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: local})
	if err != nil {
		return nil, err
	}
	if link == nil {
		link = new(DatagramLink)
	}
	r := &Relay{conn: conn, server: server, link: *link, clients: make(map[netip.AddrPort]*relayed)}
	r.goroutines.Go(r.fromClients)
	return r, nil
}

// Addr returns the address to which clients send, a *net.UDPAddr.
func (r *Relay) Addr() net.Addr { return r.conn.LocalAddr() }

// Stats returns what has happened to the datagrams of all clients so far.
func (r *Relay) Stats() (up, down RelayStats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.clients {
		up.add(c.up.snapshot())
		down.add(c.down.snapshot())
	}
	return up, down
}

// Close ends the relay and drops what is in flight. It returns when the relay's
// goroutines have exited. It is idempotent and returns nil.
func (r *Relay) Close() error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		r.conn.Close()
		for _, c := range r.clients {
			c.conn.Close()
			c.up.close()
			c.down.close()
		}
	}
	r.mu.Unlock()
	r.goroutines.Wait()
	return nil
}

// fromClients is the goroutine that receives from the clients. NewRelay starts
// it; it ends with the relay.
func (r *Relay) fromClients() {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := r.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // Windows reports refused datagrams here
		}
		if c := r.client(from); c != nil {
			c.up.pass(buf[:n])
		}
	}
}

// client returns the client at an address, creating it if necessary. It returns
// nil if that is not possible.
func (r *Relay) client(from netip.AddrPort) *relayed {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.clients[from]
	if c != nil || r.closed || len(r.clients) >= maxClients {
		return c
	}
	conn, err := net.DialUDP("udp", nil, r.server)
	if err != nil {
		return nil
	}
	n := uint64(2 * len(r.clients))
	c = &relayed{conn: conn}
	c.up = newLane(r.link.Up, newRand(r.link.Seed, n), func(p []byte) { conn.Write(p) })
	c.down = newLane(r.link.Down, newRand(r.link.Seed, n+1), func(p []byte) { r.conn.WriteToUDPAddrPort(p, from) })
	r.clients[from] = c
	r.goroutines.Go(c.fromServer)
	return c
}

// fromServer is the goroutine that receives the server's replies to one client.
// client starts it; it ends with the relay.
func (c *relayed) fromServer() {
	buf := make([]byte, 1<<16)
	for {
		n, err := c.conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil { // otherwise the server's port is closed, for now
			c.down.pass(buf[:n])
		}
	}
}
