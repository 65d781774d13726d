// Package embedded starts a NATS server in this process, for nodes that have
// none: the first node starts it, the others connect to its URL. It is a
// separate package so that programs that use another server do not link one.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"example.com/chanio"
)

// Options configures a server. The zero value, or a nil *Options, is a server
// without JetStream that only this process can reach.
type Options struct {
	// Addr is where other nodes reach the server: "host:port", with port 0 for a
	// free one. If empty, only Server.Connect reaches it.
	Addr string
	// Dir is where JetStream keeps its files, for rooms with a history. If
	// empty, there is no JetStream.
	Dir string
	// Token, if not empty, is what clients must present to connect. Set it beyond
	// loopback, or keep the port behind a firewall.
	Token string

	// Name distinguishes the servers of a cluster. Cluster is the cluster's name,
	// ClusterAddr where its servers reach this one, and Routes the URLs
	// ("nats://host:port") of the others' ClusterAddr. If ClusterAddr is empty,
	// the server is alone.
	Name, Cluster, ClusterAddr string
	Routes                     []string

	// ReadyTimeout bounds how long Start waits for the server (10 seconds).
	ReadyTimeout time.Duration
}

// A Server is a NATS server in this process. All methods are safe for concurrent
// use.
type Server struct {
	server *server.Server
	token  string
	done   chan struct{} // closed when the server has ended
}

// Start starts a server, which lives until ctx ends or Close is called. Its
// errors say what cannot be used: an address, a directory.
func Start(ctx context.Context, o *Options) (*Server, error) {
	if o == nil {
		o = new(Options)
	}
	s, err := start(o)
	if err != nil {
		return nil, fmt.Errorf("chanio: embedded NATS server: %w", err)
	}
	stop := context.AfterFunc(ctx, s.server.Shutdown)
	go func() { // ends with the server
		s.server.WaitForShutdown()
		stop()
		close(s.done)
	}()
	return s, nil
}

func start(o *Options) (*Server, error) {
	set, err := o.server()
	if err != nil {
		return nil, err
	}
	srv, err := server.NewServer(set)
	if err != nil {
		return nil, err
	}
	log := new(logger)
	srv.SetLoggerV2(log, false, false, false)
	srv.Start()
	timeout := o.ReadyTimeout
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	if !srv.ReadyForConnections(timeout) || !srv.Running() {
		srv.Shutdown()
		srv.WaitForShutdown()
		if err := log.last(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("it is not ready after %v", timeout)
	}
	return &Server{server: srv, token: o.Token, done: make(chan struct{})}, nil
}

// server returns o as options of nats-server.
func (o *Options) server() (*server.Options, error) {
	set := &server.Options{
		ServerName:    o.Name,
		DontListen:    o.Addr == "",
		NoSigs:        true,
		NoLog:         true,
		Authorization: o.Token,
		JetStream:     o.Dir != "",
		StoreDir:      o.Dir,
		// A node that does not read loses messages, which its rooms report or
		// read again. It does not slow down publishers.
		NoFastProducerStall: true,
	}
	if o.Addr != "" {
		host, port, err := address(o.Addr)
		if err != nil {
			return nil, fmt.Errorf("Options.Addr: %w", err)
		}
		set.Host, set.Port = host, port
	}
	if o.ClusterAddr == "" {
		if len(o.Routes) > 0 {
			return nil, errors.New("Options.Routes without a ClusterAddr")
		}
		return set, nil
	}
	host, port, err := address(o.ClusterAddr)
	if err != nil {
		return nil, fmt.Errorf("Options.ClusterAddr: %w", err)
	}
	set.Cluster = server.ClusterOpts{Name: o.Cluster, Host: host, Port: port}
	for _, route := range o.Routes {
		u, err := url.Parse(route)
		if err != nil {
			return nil, fmt.Errorf("Options.Routes: %w", err)
		}
		set.Routes = append(set.Routes, u)
	}
	return set, nil
}

// address splits addr. To the server, port 0 means its default and -1 a free
// one.
func address(addr string) (host string, port int, err error) {
	host, number, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	if port, err = strconv.Atoi(number); err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("the port of %q is not a number up to 65535", addr)
	}
	if port == 0 {
		port = -1
	}
	return host, port, nil
}

// URL returns the URL that other nodes connect to, or "" without Options.Addr. If
// Addr has no host, nodes on other machines need this one's name in its place.
func (s *Server) URL() string {
	if s.server.Addr() == nil {
		return ""
	}
	return s.server.ClientURL()
}

// Connect connects to the server within the process and presents the token. The
// caller must close the connection.
func (s *Server) Connect(o ...nats.Option) (*nats.Conn, error) {
	o = append([]nats.Option{nats.InProcessServer(s.server), nats.MaxReconnects(-1)}, o...)
	if s.token != "" {
		o = append(o, nats.Token(s.token))
	}
	nc, err := nats.Connect("", o...)
	if err != nil {
		return nil, fmt.Errorf("chanio: embedded NATS server: %w", err)
	}
	return nc, nil
}

// Close ends the server and returns nil once it is gone. Its files remain.
func (s *Server) Close() error {
	s.server.Shutdown()
	<-s.done
	return nil
}

// Done returns a channel that is closed when the server has ended.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err returns nil while the server runs, then chanio.ErrClosed.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return chanio.ErrClosed
	default:
		return nil
	}
}
