package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/chanio/ws"
	"example.com/chanio/ws/examples/browser"
)

const certificates = "../../../testdata"

const patience = time.Minute

var screenshot = flag.String("screenshot", "", "file for a picture of the page")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openRoom(t *testing.T, at addresses) *room {
	t.Helper()
	r, err := open(context.Background(), at, certificates)
	require.NoError(t, err)
	return r
}

var anywhere = addresses{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"}

// A lineClient stands for nc or openssl s_client.
type lineClient struct {
	net.Conn
	r *bufio.Reader
}

func newLineClient(t *testing.T, conn net.Conn, err error) lineClient {
	t.Helper()
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return lineClient{conn, bufio.NewReader(conn)}
}

func (c lineClient) say(t *testing.T, line string) {
	t.Helper()
	_, err := io.WriteString(c, line+"\n")
	require.NoError(t, err)
}

// hears reads until a line contains want.
func (c lineClient) hears(t *testing.T, want string) {
	t.Helper()
	for {
		line, err := c.r.ReadString('\n')
		require.NoError(t, err, want)
		if strings.Contains(line, want) {
			return
		}
	}
}

// lineClients returns one client over tcp and one over tls.
func lineClients(t *testing.T, r *room) (tcp, secret lineClient) {
	t.Helper()
	conn, err := net.Dial("tcp", r.tcp.Addr().String())
	tcp = newLineClient(t, conn, err)
	ca, err := os.ReadFile(certificates + "/ca.crt")
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(ca))
	tc, err := tls.Dial("tcp", r.tls.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "localhost"})
	return tcp, newLineClient(t, tc, err)
}

func TestTcpTlsAndWebSocketsAreInOneRoom(t *testing.T) {
	r := openRoom(t, anywhere)
	tcp, secret := lineClients(t, r)
	tcp.hears(t, "You are tcp")
	secret.hears(t, "You are tls")
	web, err := ws.Dial(t.Context(), "ws://"+r.page.String()+"/room?name=Ada%3A%20L", &ws.Options{Text: true})
	require.NoError(t, err)
	require.Contains(t, string(<-web.Recv()), "You are Ada L in room")
	require.NoError(t, web.Put([]byte("from the web")))
	tcp.hears(t, "Ada L: from the web")
	secret.hears(t, "Ada L: from the web")
	secret.say(t, "from tls")
	tcp.hears(t, ": from tls")
	tcp.say(t, "from tcp")
	for m := range web.Recv() {
		if strings.HasSuffix(string(m), ": from tcp") {
			break
		}
	}
	go func() {
		for range web.Recv() {
		}
		web.Close()
	}()
	r.say("(admin)", "good night")
	go func() { tcp.hears(t, "good night"); tcp.Close() }()
	go func() { secret.hears(t, "good night"); secret.Close() }()
	require.NoError(t, r.close())
	<-web.Done()
	e, ok := ws.PeerClose(web)
	require.True(t, ok)
	require.Equal(t, ws.StatusGoingAway, e.Code)
}

func TestThreeBrowsersTalkLoseTheirServerAndFindItAgain(t *testing.T) {
	b := browser.Start(t)
	r := openRoom(t, anywhere)
	at := addresses{r.page.String(), r.tcp.Addr().String(), r.tls.Addr().String()}
	tcp, secret := lineClients(t, r)
	pages := map[string]*browser.Page{}
	for _, name := range []string{"Ada", "Blaise", "Charles"} {
		pages[name] = b.Open(t, "http://"+r.page.String()+"/", name)
	}
	everybodySees := func(text string) {
		t.Helper()
		for _, page := range pages {
			page.Sees(t, text)
		}
	}
	pages["Ada"].Says(t, "Hello from a keyboard")
	everybodySees("Ada: Hello from a keyboard")
	tcp.hears(t, "Ada: Hello from a keyboard")
	tcp.say(t, "and from nc")
	everybodySees("and from nc")
	secret.hears(t, "and from nc")
	secret.say(t, "and from openssl")
	everybodySees("and from openssl")

	if *screenshot != "" {
		pages["Blaise"].Save(t, *screenshot)
	}
	tcp.Close()
	secret.Close()
	require.NoError(t, r.close())
	for _, page := range pages {
		page.Sees(t, "Connection lost")
	}
	r = openRoom(t, at)
	everybodySees("The server was restarted")
	pages["Charles"].Says(t, "Here again")
	everybodySees("Charles: Here again")

	// A page that was away learns how much it has missed.
	pages["Ada"].Run(t, `pause = 4000; socket.close()`)
	pages["Ada"].Sees(t, "Connection lost")
	pages["Charles"].Sees(t, "Ada has left")
	r.say("(admin)", "one")
	r.say("(admin)", "two")
	pages["Ada"].Sees(t, "You have missed 3 messages.") // that Ada has left counts as one
	require.NoError(t, r.close())
}
