package endpoint

import (
	"bufio"
	"errors"
	"net"
	"net/url"
	"time"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
)

// upgrade makes conn a WebSocket, whose client then writes and reads frames.
func (e Endpoint) upgrade(conn net.Conn) (net.Conn, error) {
	if err := conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return conn, err
	}
	var d ws.Dialer
	if e.Deflate {
		d.Extensions = []httphead.Option{wsflate.Parameters{ServerNoContextTakeover: true, ClientNoContextTakeover: true}.Option()}
	}
	early, handshake, err := d.Upgrade(conn, &url.URL{Scheme: "ws", Host: e.Address, Path: "/"})
	if err != nil {
		return conn, err
	}
	if e.Deflate != (len(handshake.Extensions) > 0) {
		return conn, errors.New("the server does not agree on whether to compress")
	}
	if early != nil {
		return &earlyConn{conn, early}, conn.SetDeadline(time.Time{})
	}
	return conn, conn.SetDeadline(time.Time{})
}

// An earlyConn first reads what came together with the handshake's answer.
type earlyConn struct {
	net.Conn
	early *bufio.Reader
}

func (c *earlyConn) Read(b []byte) (int, error) {
	if c.early.Buffered() > 0 {
		return c.early.Read(b)
	}
	return c.Conn.Read(b)
}
