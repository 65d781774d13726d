package ws

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

const goodRequest = "GET /chat?x=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

func TestRequestsThatAreNoHandshakeGetAStatusThatSaysWhy(t *testing.T) {
	_, url := serve(t, &Options{Origins: []string{"https://good.example", "*.good.example", "other.example:8080"}}, echo)
	for _, c := range []struct {
		name, old, new string
		status         int
	}{
		{"a good one", "", "", 101},
		{"POST", "GET", "POST", 405},
		{"HTTP/1.0", "HTTP/1.1", "HTTP/1.0", 400},
		{"no upgrade", "Upgrade: websocket\r\n", "", 426},
		{"another upgrade", "websocket\r\n", "h2c\r\n", 426},
		{"an upgrade in a list", "Upgrade: websocket", "Upgrade: h2c, WebSocket", 101},
		{"an upgrade in lines", "Upgrade: websocket\r\n", "Upgrade: h2c\r\nUpgrade: websocket\r\n", 101},
		{"a Connection in lines", "keep-alive, Upgrade", "keep-alive\r\nConnection: upgrade", 101},
		{"no Connection", "keep-alive, Upgrade", "keep-alive", 426},
		{"another version", "Version: 13", "Version: 8", 426},
		{"no key", "Sec-WebSocket-Key", "X-Key", 400},
		{"a short key", "dGhlIHNhbXBsZSBub25jZQ==", "dGhl", 400},
		{"its own page", "Host: example.com\r\n", "Host: example.com\r\nOrigin: https://EXAMPLE.com\r\n", 101},
		{"another page", "Host: example.com\r\n", "Host: example.com\r\nOrigin: https://evil.example\r\n", 403},
		{"no page", "Host: example.com\r\n", "Host: example.com\r\nOrigin: null\r\n", 403},
		{"an empty origin", "Host: example.com\r\n", "Host: example.com\r\nOrigin:\r\n", 403},
		{"an allowed origin", "Host: example.com\r\n", "Host: example.com\r\nOrigin: https://good.example\r\n", 101},
		{"an allowed host by another scheme", "Host: example.com\r\n", "Host: example.com\r\nOrigin: http://good.example\r\n", 403},
		{"a host of a pattern", "Host: example.com\r\n", "Host: example.com\r\nOrigin: http://a.good.example\r\n", 101},
		{"a host that ends alike", "Host: example.com\r\n", "Host: example.com\r\nOrigin: http://evilgood.example\r\n", 403},
		{"an allowed port", "Host: example.com\r\n", "Host: example.com\r\nOrigin: http://other.example:8080\r\n", 101},
		{"another port", "Host: example.com\r\n", "Host: example.com\r\nOrigin: http://other.example\r\n", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(url, "ws://"))
			require.NoError(t, err)
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(patience))
			_, err = io.WriteString(conn, strings.Replace(goodRequest, c.old, c.new, 1))
			require.NoError(t, err)
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.Equal(t, c.status, response.StatusCode)
			if c.status == 101 {
				require.Equal(t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", response.Header.Get("Sec-WebSocket-Accept"))
			}
		})
	}
}

func TestHTTP2IsAnsweredWithA4xx(t *testing.T) {
	h := NewHandler(t.Context(), nil)
	defer h.Listener().Close()
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	response, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, 2, response.ProtoMajor)
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	why, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Contains(t, string(why), "HTTP/1.1")
}

func TestAHandshakeCutAnywhereIsNoSession(t *testing.T) {
	h, url := serve(t, nil, echo)
	for i := range len(goodRequest) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "ws://"))
		require.NoError(t, err)
		_, err = io.WriteString(conn, goodRequest[:i])
		require.NoError(t, err)
		conn.Close()
	}
	p := dialRaw(t, url, false)
	p.send(frames(text("still here")), 0)
	p.expect(echoes("still here")...)
	require.EqualValues(t, 1, h.Listener().Stats().Accepted)
}

func TestFramesThatCameWithTheHandshakeAreNotLost(t *testing.T) {
	_, url := serve(t, nil, echo)
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "ws://"))
	require.NoError(t, err)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	_, err = conn.Write(append([]byte(goodRequest), bytes.Join(frames(text("early"), text("bird")), nil)...))
	require.NoError(t, err)
	p := &rawPeer{t, conn, bufio.NewReader(conn)}
	_, err = http.ReadResponse(p.r, nil)
	require.NoError(t, err)
	p.expect(echoes("early", "bird")...)
}

func TestHalfDoneHandshakesDoNotKeepOthersOut(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 500
	}
	h := NewHandler(t.Context(), nil)
	defer h.Listener().Close()
	go func() {
		for s := range h.Listener().Sessions() {
			go echo(s)
		}
	}()
	server := httptest.NewUnstartedServer(h)
	server.Config.ReadHeaderTimeout = 5 * time.Second
	server.Start()
	defer server.Close()
	half := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range half {
			c.Close()
		}
	}()
	for i := range n {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Logf("%d half-done handshakes: %v", i, err) // descriptors are bounded
			break
		}
		half = append(half, c)
		io.WriteString(c, goodRequest[:i%len(goodRequest)])
		if i%(n/5) == 0 {
			p := dialRaw(t, "ws"+server.URL[4:], false)
			p.send(frames(text("good")), 0)
			p.expect(echoes("good")...)
			p.Close()
		}
	}
	half[0].SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, half[0]) // the server ends it
	require.NoError(t, err)
}

func TestWssAndRequestAndSubprotocol(t *testing.T) {
	h := NewHandler(t.Context(), &Options{Subprotocols: []string{"v1", "v2"}, Header: http.Header{"X-Answer": {"yes"}}})
	defer h.Listener().Close()
	type key struct{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, "user")))
	}))
	defer server.Close()
	config := server.Client().Transport.(*http.Transport).TLSClientConfig
	s, err := Dial(t.Context(), "wss"+server.URL[5:]+"/room?n=1", &Options{
		Subprotocols: []string{"v3", "v2"}, Header: http.Header{"Cookie": {"id=7"}}, Chanio: &chanio.Options{TLS: config},
	})
	require.NoError(t, err)
	peer := <-h.Listener().Sessions()
	r := Request(peer)
	require.Equal(t, "/room?n=1", r.URL.String())
	cookie, err := r.Cookie("id")
	require.NoError(t, err)
	require.Equal(t, "7", cookie.Value)
	require.Equal(t, http.Header{"Cookie": {"id=7"}, "Sec-Websocket-Protocol": {"v3, v2"}}, r.Header, "the handshake's own headers are not kept")
	require.Equal(t, "user", r.Context().Value(key{}))
	require.NoError(t, r.Context().Err())
	require.Equal(t, "v2", Subprotocol(peer))
	require.Equal(t, "v2", Subprotocol(s))
	require.Nil(t, Request(s))
	require.Equal(t, s.LocalAddr().String(), peer.RemoteAddr().String())
	_, secret := peer.TLS()
	require.True(t, secret)
	go echo(peer)
	exchange(t, s)
	require.NoError(t, s.Close())
	<-peer.Done()
	require.NoError(t, peer.Err())
	_, err = Dial(t.Context(), "wss"+server.URL[5:], nil)
	var unknown *tls.CertificateVerificationError
	require.ErrorAs(t, err, &unknown)
}

func TestShutdownSends1001AfterTheLastMessageOfEachSession(t *testing.T) {
	bothCompressions(t, func(t *testing.T, o *Options) {
		h, url := serve(t, o, func(s *chanio.Session) {
			for range s.Recv() {
			}
			s.Close()
		})
		var clients []*chanio.Session
		for range 10 {
			s, err := Dial(t.Context(), url, o)
			require.NoError(t, err)
			clients = append(clients, s)
		}
		require.Eventually(t, func() bool { return h.Listener().Hub().Len() == len(clients) }, patience, time.Millisecond)
		last := strings.Repeat("the last one ", 100)
		require.NoError(t, h.Listener().Multicast([]byte(last)))
		down := make(chan error, 1)
		go func() { down <- h.Listener().Shutdown(context.Background()) }()
		for _, s := range clients {
			require.Equal(t, last, string(<-s.Recv()))
			_, open := <-s.Recv()
			require.False(t, open)
			require.NoError(t, s.Close())
			require.NoError(t, s.Err())
			e, ok := PeerClose(s)
			require.True(t, ok)
			require.Equal(t, StatusGoingAway, e.Code)
		}
		require.NoError(t, <-down)
		_, err := Dial(t.Context(), url, o)
		var refused *HandshakeError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, http.StatusServiceUnavailable, refused.Status)
	})
}

func TestMaxSessionsIsNotExceeded(t *testing.T) {
	h, url := serve(t, &Options{Chanio: &chanio.Options{MaxSessions: 2}}, echo)
	a, b := dialRaw(t, url, false), dialRaw(t, url, false)
	for _, p := range []*rawPeer{a, b} {
		p.send(frames(text("x")), 0)
		p.expect(echoes("x")...)
	}
	_, err := Dial(t.Context(), url, nil)
	var refused *HandshakeError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusServiceUnavailable, refused.Status)
	require.Equal(t, 2, h.Listener().Len())
}

func TestADeadPeerIsFoundByPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set, err := (&Options{PingInterval: time.Minute, PongTimeout: 10 * time.Second}).resolve(false)
		require.NoError(t, err)
		near, far := net.Pipe()
		defer far.Close()
		s := chanio.NewSession(t.Context(), &chanio.Handover{Conn: near, Reader: &reader{framing: set.plain}}, &set.chanio)
		p := &rawPeer{t, far, bufio.NewReader(far)}
		began := time.Now()
		for range 3 {
			p.expect(got{0x9, "", 0})
			p.send(frames(frame(true, 0, 0xa, "")), 0)
		}
		p.expect(got{0x9, "", 0})
		<-s.Done()
		require.Equal(t, 4*time.Minute+10*time.Second, time.Since(began))
		require.ErrorIs(t, s.Err(), os.ErrDeadlineExceeded)
	})
}

func TestConnectFindsItsServerAgain(t *testing.T) {
	h, url := serve(t, nil, echo)
	c := Connect(t.Context(), url, &Options{Chanio: &chanio.Options{Backoff: chanio.Backoff{Min: time.Millisecond}}})
	defer c.Close()
	s := <-c.Sessions()
	exchange(t, s)
	h.Listener().DisconnectAll()
	s = <-c.Sessions()
	exchange(t, s)
}

func TestInvalidOptionsAndURLsAreErrors(t *testing.T) {
	for _, o := range []*Options{
		{Chanio: &chanio.Options{Framing: chanio.Lines{}}}, {Chanio: &chanio.Options{TLS: new(tls.Config)}},
		{Subprotocols: []string{"a b"}}, {Origins: []string{"["}}, {Chanio: &chanio.Options{PingInterval: 1}}, {Chanio: &chanio.Options{MaxMessage: -1}},
	} {
		h := NewHandler(t.Context(), o)
		<-h.Listener().Done()
		require.ErrorContains(t, h.Listener().Err(), "option")
	}
	for _, url := range []string{"http://example.com", "ws://", "ws://%zz", "x"} {
		_, err := Dial(t.Context(), url, nil)
		require.ErrorContains(t, err, "chanio: websocket: ")
		c := Connect(t.Context(), url, nil)
		<-c.Done()
		require.Error(t, c.Err())
	}
}
