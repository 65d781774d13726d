package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/chanio/internal/test/programs"
	"example.com/chanio/ws/examples/browser"
)

// patience bounds each wait of a test.
const patience = time.Minute

var binaries string // the folder of the program

func TestMain(m *testing.M) {
	var err error
	if binaries, err = programs.Build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(binaries)
		os.Exit(code)
	}))
}

// A process is a node.
type process struct {
	cmd             *exec.Cmd
	page, tcp, nats string
	ended           chan struct{} // closed when its output has ended
}

// start starts a node and waits until it says where it is.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(filepath.Join(binaries, "cluster_chat"), args...), ended: make(chan struct{})}
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.kill)
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	require.NoError(t, err)
	found := regexp.MustCompile(`^page: (\S+), tcp: (\S+), NATS: (\S+)\n$`).FindStringSubmatch(first)
	require.NotNil(t, found, first)
	p.page, p.tcp, p.nats = found[1], found[2], found[3]
	go func() {
		defer close(p.ended)
		io.Copy(io.Discard, lines)
	}()
	return p
}

// kill is kill -9.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
	p.cmd.Wait()
}

// stop stops the node as Ctrl-C does.
func (p *process) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	<-p.ended
	require.NoError(t, p.cmd.Wait())
}

// startTwo starts two nodes.
func startTwo(t *testing.T, history int) (first, second *process) {
	t.Helper()
	first = start(t, arguments(history, "-addr=127.0.0.1:0", "-web=127.0.0.1:0", "-serve=127.0.0.1:0", "-dir="+t.TempDir())...)
	second = start(t, arguments(history, "-addr=127.0.0.1:0", "-web=127.0.0.1:0", "-nats="+first.nats)...)
	return first, second
}

func arguments(history int, args ...string) []string {
	return append(args, fmt.Sprint("-history=", history))
}

// A client reads and says lines.
type client struct {
	next func() (string, error)
	say  func(line string) error
}

// nc stands for nc.
func nc(t *testing.T, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	lines := bufio.NewReader(conn)
	return &client{
		func() (string, error) {
			line, err := lines.ReadString('\n')
			return strings.TrimSuffix(line, "\n"), err
		},
		func(line string) error {
			_, err := io.WriteString(conn, line+"\n")
			return err
		},
	}
}

// web stands for a browser. It uses a library other than chanio.
func web(t *testing.T, page, name string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	conn, _, err := websocket.Dial(ctx, page+"room?name="+name, nil)
	require.NoError(t, err)
	t.Cleanup(func() { conn.CloseNow() })
	return &client{
		func() (string, error) {
			kind, line, err := conn.Read(ctx)
			if err == nil && kind != websocket.MessageText {
				err = fmt.Errorf("%v", kind)
			}
			return string(line), err
		},
		func(line string) error { return conn.Write(ctx, websocket.MessageText, []byte(line)) },
	}
}

// hears reads up to a line that contains want, and returns what preceded it.
func (c *client) hears(t *testing.T, want string) (before []string) {
	t.Helper()
	for {
		line, err := c.next()
		require.NoError(t, err, "in place of %q, after %q", want, before)
		if strings.Contains(line, want) {
			return before
		}
		before = append(before, line)
	}
}

func TestTwoNodesAreOneChat(t *testing.T) {
	for _, history := range []int{0, 50} {
		t.Run(fmt.Sprint("history ", history), func(t *testing.T) {
			first, second := startTwo(t, history)
			clients := []*client{nc(t, first.tcp), web(t, first.page, "Ada"), nc(t, second.tcp), web(t, second.page, "Ben")}
			for _, c := range clients {
				c.hears(t, "* You are ")
				c.hears(t, "* Welcome: ")
			}
			for i, c := range clients {
				said := fmt.Sprintf("I am number %d", i)
				require.NoError(t, c.say(said))
				for _, other := range clients {
					for _, line := range other.hears(t, said) {
						require.NotContains(t, line, ": I am number", "more than once")
					}
				}
			}
			require.NoError(t, clients[0].say("  spaces, \xff and a carriage return\r"))
			clients[3].hears(t, ": spaces, \ufffd and a carriage return")

			late := web(t, second.page, "Late")
			late.hears(t, "* You are Late.")
			before := strings.Join(late.hears(t, "* Welcome: "), "\n")
			if history > 0 {
				require.Regexp(t, `(?s)Ada: I am number 1.*Ben: I am number 3`, before)
			} else {
				require.NotContains(t, before, "I am number")
			}
			second.stop(t)
			clients[0].hears(t, "* Late is gone")
			_, err := clients[3].next()
			for err == nil {
				_, err = clients[3].next()
			}
			require.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(err), err)
			first.stop(t)
		})
	}
}

// TestABrowserThatLosesItsNodeGetsWhatItMissed kills the node of a page, which
// joins again when there is a node at its address.
func TestABrowserThatLosesItsNodeGetsWhatItMissed(t *testing.T) {
	for _, history := range []int{0, 5} {
		t.Run(fmt.Sprint("history ", history), func(t *testing.T) {
			b := browser.Start(t)
			first, second := startTwo(t, history)
			page := b.Open(t, second.page, "Ada")
			line := nc(t, first.tcp)
			line.hears(t, "* Welcome: ")
			page.Says(t, "Hello from a keyboard")
			line.hears(t, "Ada: Hello from a keyboard")
			require.NoError(t, line.say("and from nc"))
			page.Sees(t, "and from nc")

			lose := func(messages int) {
				t.Helper()
				second.kill()
				page.Sees(t, "Connection lost")
				for i := range messages {
					require.NoError(t, line.say(fmt.Sprintf("message %d of %d", i+1, messages)))
				}
				line.hears(t, fmt.Sprintf("message %d of %d", messages, messages))
				second = start(t, arguments(history, "-addr="+second.tcp, "-web="+strings.Trim(second.page, "htp:/"), "-nats="+first.nats)...)
				line.hears(t, "Ada is here")
			}
			lose(2)
			if history == 0 {
				page.Sees(t, "You were away")
				require.NotContains(t, page.Log(t), "message 1 of 2")
				return
			}
			page.Sees(t, "Ada is here")
			page.Sees(t, "message 1 of 2")
			page.Sees(t, "message 2 of 2")
			require.NotContains(t, page.Log(t), "You were away")
			require.Equal(t, 1, strings.Count(page.Log(t), "and from nc"), "nothing comes twice")
			lose(7) // more than a newcomer gets
			page.Sees(t, "You were away")
			page.Sees(t, "message 7 of 7")
			require.NotContains(t, page.Log(t), "message 2 of 7")
			require.Equal(t, 1, strings.Count(page.Log(t), "and from nc"), "nothing comes twice")
		})
	}
}
