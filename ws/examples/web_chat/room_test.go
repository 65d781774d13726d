package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/chanio/ws"
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

// browser starts Chromium, and skips the test if it is missing.
func browser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed (Debian: apt-get install chromium)")
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(720, 480),
	}
	for _, name := range []string{"no-first-run", "disable-renderer-backgrounding", "disable-backgrounding-occluded-windows", "disable-background-timer-throttling",
		"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync"} {
		options = append(options, chromedp.Flag(name, true))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	ctx, cancelAll := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancelAll)
	ctx, cancelBrowser := chromedp.NewContext(ctx)
	t.Cleanup(cancelBrowser)
	do(t, ctx)
	return ctx
}

// openPage opens the page in a tab, under a name.
func openPage(t *testing.T, browser context.Context, r *room, name string) context.Context {
	t.Helper()
	tab, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext()) // it needs a window of its own: other tabs do not draw
	t.Cleanup(cancel)
	do(t, tab,
		chromedp.Navigate("http://"+r.page.String()+"/"),
		chromedp.WaitEnabled(chromedp.CSS("#send")),
		chromedp.SendKeys(chromedp.CSS("#name"), name+kb.Enter))
	sees(t, tab, "You are "+name)
	return tab
}

func do(t *testing.T, tab context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	require.NoError(t, chromedp.Do(tab, steps...))
}

// sees waits until the page shows text.
func sees(t *testing.T, tab context.Context, text string) {
	t.Helper()
	_, err := chromedp.Run(tab, chromedp.Poll[bool](fmt.Sprintf("document.body.innerText.includes(%q)", text), chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(patience)))
	require.NoError(t, err, text)
}

// says types text and presses Enter.
func says(t *testing.T, tab context.Context, text string) {
	t.Helper()
	do(t, tab, chromedp.WaitEnabled(chromedp.CSS("#send")), chromedp.SendKeys(chromedp.CSS("#text"), text+kb.Enter))
}

func TestThreeBrowsersTalkLoseTheirServerAndFindItAgain(t *testing.T) {
	b := browser(t)
	r := openRoom(t, anywhere)
	at := addresses{r.page.String(), r.tcp.Addr().String(), r.tls.Addr().String()}
	tcp, secret := lineClients(t, r)
	pages := map[string]context.Context{}
	for _, name := range []string{"Ada", "Blaise", "Charles"} {
		pages[name] = openPage(t, b, r, name)
	}
	everybodySees := func(text string) {
		t.Helper()
		for _, page := range pages {
			sees(t, page, text)
		}
	}
	says(t, pages["Ada"], "Hello from a keyboard")
	everybodySees("Ada: Hello from a keyboard")
	tcp.hears(t, "Ada: Hello from a keyboard")
	tcp.say(t, "and from nc")
	everybodySees("and from nc")
	secret.hears(t, "and from nc")
	secret.say(t, "and from openssl")
	everybodySees("and from openssl")

	takePicture(t, pages["Blaise"])
	tcp.Close()
	secret.Close()
	require.NoError(t, r.close())
	for _, page := range pages {
		sees(t, page, "Connection lost")
	}
	r = openRoom(t, at)
	everybodySees("The server was restarted")
	says(t, pages["Charles"], "Here again")
	everybodySees("Charles: Here again")

	// A page that was away learns how much it has missed.
	_, err := chromedp.Run(pages["Ada"], chromedp.Evaluate[bool](`pause = 4000; socket.close(); true`))
	require.NoError(t, err)
	sees(t, pages["Ada"], "Connection lost")
	sees(t, pages["Charles"], "Ada has left")
	r.say("(admin)", "one")
	r.say("(admin)", "two")
	sees(t, pages["Ada"], "You have missed 3 messages.") // that Ada has left counts as one
	require.NoError(t, r.close())
}

// takePicture saves a picture of the page, if one was asked for.
func takePicture(t *testing.T, page context.Context) {
	if *screenshot == "" {
		return
	}
	picture, err := chromedp.Run(page, chromedp.CaptureScreenshot())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(*screenshot, picture, 0o644))
}
