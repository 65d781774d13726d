// Package chatpage has what the chats for browsers among the example programs
// share: the web page, and the text that the page sends.
package chatpage

import (
	_ "embed"
	"io"
	"net/http"
	"regexp"
	"strings"

	"example.com/chanio"
	"example.com/chanio/ws"
)

//go:embed page.html
var page string

// Handler serves the page. It joins at "room", relative to its own URL, as a
// WebSocket that carries lines of text. script says what the lines mean: see
// the script in page.html.
func Handler(script string) http.Handler {
	whole := strings.Replace(page, "{{SCRIPT}}", script, 1)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, whole) // an error is the browser's
	})
}

var notInNames = regexp.MustCompile(`[^\pL\pN _-]`)

// Name returns the name that the page gives s, or other if it gives none or s is
// no page.
func Name(s *chanio.Session, other string) string {
	req := ws.Request(s)
	if req == nil {
		return other
	}
	name := []rune(strings.TrimSpace(notInNames.ReplaceAllString(req.URL.Query().Get("name"), "")))
	if len(name) == 0 {
		return other
	}
	return string(name[:min(len(name), 20)])
}

var lineEnds = strings.NewReplacer("\n", " ", "\r", " ")

// Line returns text as one line of UTF-8, without spaces around it.
func Line(text string) string {
	return lineEnds.Replace(strings.TrimSpace(strings.ToValidUTF8(text, "\ufffd")))
}
