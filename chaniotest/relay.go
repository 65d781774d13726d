package chaniotest

import (
	"errors"
	"net"
	"net/netip"
	"sync"
)

// maxClients bounds the sockets of a relay.
const maxClients = 1024

// A Relay is a bad network for datagrams: what clients send to its address goes
// on to a server, and the answers back, with what a [DatagramLink] does to them.
// To the server each client has an address of its own.
//
// It is over real sockets on loopback, since [chanio.Listen], [chanio.Dial] and
// [chanio.ListenPacket] take addresses for udp: not for a synctest bubble. What
// happens to the nth datagram of the nth client, each way, is the seed's to
// decide, and the same each time; when it happens is the machine's.
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

// NewRelay starts a relay to the server at address, host and port, which is
// until Close. Nil is a link without faults. More than 1,024 clients at one
// relay are not heard.
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

// Addr returns the address for clients, a *net.UDPAddr.
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

// Close ends the relay, and loses what is under way. It returns when its
// goroutines are gone. It is idempotent and returns nil.
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

// fromClients is the goroutine that hears the clients. NewRelay starts it; it
// ends with the relay.
func (r *Relay) fromClients() {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := r.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // Windows tells of refused datagrams here
		}
		if c := r.client(from); c != nil {
			c.up.pass(buf[:n])
		}
	}
}

// client returns the client at an address, a new one if there is none. It is
// nil if there can't be one.
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

// fromServer is the goroutine that hears the server's answers to one client.
// client starts it; it ends with the relay.
func (c *relayed) fromServer() {
	buf := make([]byte, 1<<16)
	for {
		n, err := c.conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil { // else the server's port is closed, for now
			c.down.pass(buf[:n])
		}
	}
}
