package ws

import (
	"bufio"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// node starts a script with Node's ws, and skips the test if that is missing.
// The script's standard error goes to the test's log.
func node(t *testing.T, script string, args ...string) *bufio.Reader {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not installed")
	}
	check := exec.Command("node", "-e", `require("ws")`)
	check.Dir = "testdata"
	if check.Run() != nil {
		t.Skip("Node's ws is not installed (npm ci, in ws/testdata)")
	}
	c := exec.Command("node", append([]string{"-e", script, "--"}, args...)...)
	c.Dir = "testdata"
	var log strings.Builder
	c.Stderr = &log
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	stuck := time.AfterFunc(patience, func() { c.Process.Kill() })
	t.Cleanup(func() {
		defer stuck.Stop()
		require.NoError(t, c.Wait(), log.String())
	})
	return bufio.NewReader(out)
}

const nodeClient = `
const WebSocket = require("ws"), [url, compress] = process.argv.slice(1);
const c = new WebSocket(url, {perMessageDeflate: compress === "true" ? {threshold: 0, clientNoContextTakeover: true, serverNoContextTakeover: true} : false});
const messages = ["", "hello", "κόσμε", "compress me ".repeat(1000), "x".repeat(70000)];
let i = 0, pong = false;
c.on("open", () => {
	if ((c.extensions !== "") !== (compress === "true")) throw new Error("extensions: " + c.extensions);
	c.ping("there?");
	c.send("frag", {fin: false}); c.send("mented", {fin: true});
});
c.on("pong", p => { pong = p.toString() === "there?"; });
c.on("message", (m, binary) => {
	if (binary) throw new Error("binary");
	const want = i === 0 ? "fragmented" : messages[i - 1];
	if (m.toString() !== want) throw new Error("message " + i + ": " + m);
	if (i === messages.length) return c.close(4001, "done");
	c.send(messages[i++]);
});
c.on("close", (code, reason) => {
	if (code !== 4001 || !pong) throw new Error("close " + code + reason + pong);
});
`

func TestNodesClientTalksToAHandler(t *testing.T) {
	for _, compress := range []string{"false", "true"} {
		t.Run("compressed "+compress, func(t *testing.T) {
			o := &Options{Text: true}
			if compress == "true" {
				o.Compression = &Compression{}
			}
			ends := make(chan *chanio.Session, 1)
			_, url := serve(t, o, func(s *chanio.Session) { echo(s); ends <- s })
			node(t, nodeClient, url, compress)
			s := <-ends
			<-s.Done()
			requireCloseError(t, s, 4001, "done")
		})
	}
}

const nodeServer = `
const {WebSocketServer} = require("ws");
const s = new WebSocketServer({port: 0, host: "127.0.0.1", perMessageDeflate: {threshold: 0}}, () => console.log(s.address().port));
s.on("connection", c => {
	c.ping();
	c.on("message", (m, binary) => c.send(m, {binary}));
	c.on("close", code => { s.close(); if (code !== 4002) throw new Error("close " + code); });
});
`

func TestDialTalksToNodesServer(t *testing.T) {
	bothCompressions(t, func(t *testing.T, o *Options) {
		port, err := node(t, nodeServer).ReadString('\n')
		require.NoError(t, err)
		s, err := Dial(t.Context(), "ws://127.0.0.1:"+strings.TrimSpace(port), o)
		require.NoError(t, err)
		exchange(t, s)
		require.NoError(t, CloseWith(s, 4002, ""))
	})
}
