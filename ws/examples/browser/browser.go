// Package browser drives Chromium in the tests of the example programs whose
// page is that of package chatpage.
package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// patience bounds how long a page may take to show something.
const patience = time.Minute

// A Browser is a Chromium without a window on any screen. It ends with the test.
type Browser struct{ ctx context.Context }

// A Page is a chat's page in a window of its own. It ends with the test.
type Page struct{ ctx context.Context }

// Start starts Chromium, and skips the test if it is missing.
func Start(t testing.TB) *Browser {
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
	require.NoError(t, chromedp.Do(ctx))
	return &Browser{ctx}
}

// Open opens the page at url and joins under a name.
func (b *Browser) Open(t testing.TB, url, name string) *Page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext()) // tabs in the background do not draw
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx,
		chromedp.Navigate(url),
		chromedp.WaitEnabled(chromedp.CSS("#send")),
		chromedp.SendKeys(chromedp.CSS("#name"), name+kb.Enter)))
	p := &Page{ctx}
	p.Sees(t, "You are "+name)
	return p
}

// Sees waits until the page shows text.
func (p *Page) Sees(t testing.TB, text string) {
	t.Helper()
	shown := fmt.Sprintf("document.body.innerText.includes(%q)", text)
	_, err := chromedp.Run(p.ctx, chromedp.Poll[bool](shown, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(patience)))
	require.NoError(t, err, text)
}

// Says types text and presses Enter.
func (p *Page) Says(t testing.TB, text string) {
	t.Helper()
	require.NoError(t, chromedp.Do(p.ctx, chromedp.WaitEnabled(chromedp.CSS("#send")), chromedp.SendKeys(chromedp.CSS("#text"), text+kb.Enter)))
}

// Log returns the text of the messages that the page shows.
func (p *Page) Log(t testing.TB) string {
	t.Helper()
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.getElementById("log").innerText`))
	require.NoError(t, err)
	return text
}

// Run runs a script in the page.
func (p *Page) Run(t testing.TB, script string) {
	t.Helper()
	_, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](script+"; true"))
	require.NoError(t, err)
}

// Save saves a picture of the page in a file.
func (p *Page) Save(t testing.TB, file string) {
	t.Helper()
	picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, picture, 0o644))
}
