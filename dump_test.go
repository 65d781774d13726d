package chanio_test

import (
	"context"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/datagram"
)

// libraryStacks returns the functions of this package on the stack of each
// goroutine that the package, not a test, started; the outermost comes first.
func libraryStacks() (stacks [][]string) {
	dump := make([]byte, 1<<20)
	dump = dump[:runtime.Stack(dump, true)]
	ours := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(reflect.TypeFor[chanio.Session]().PkgPath()) + `\.(.+)\([^()]*\)$`)
	for goroutine := range strings.SplitSeq(string(dump), "\n\n") {
		calls, _, _ := strings.Cut(goroutine, "\ncreated by ")
		var stack []string
		for _, call := range ours.FindAllStringSubmatch(calls, -1) {
			stack = append([]string{call[1]}, stack...)
		}
		if len(stack) > 0 && !strings.HasPrefix(stack[0], "Test") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

func TestAGoroutineDumpIdentifiesEachGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		serverConfig, _ := testTLS(t)
		_, ln := serveMem(t, nil)
		ln.dial()
		_, tlsListener := serveMem(t, &chanio.Options{TLS: serverConfig})
		tlsListener.dial() // and says nothing

		s, _ := memSession(t, nil)
		require.NoError(t, s.Put([]byte("a message that nobody reads")))
		m, _ := memPeers(t, t.Context(), nil)
		m.in <- datagram.Packet{Addr: peerAddress(1), Data: []byte("hello")}
		_, p := memPacketConn(t, t.Context(), nil)
		require.NoError(t, p.Put(chanio.Packet{Addr: peerAddress(1), Data: []byte("a datagram that nobody reads")}))

		h := chanio.NewHub(t.Context(), nil)
		defer h.Close()
		h.Send()
		c := chanio.Connect(t.Context(), "tcp", somewhere, &chanio.Options{Dialer: failingDialer(hang)})
		defer c.Close()
		service := chanio.NewService(t.Context(), nil)
		defer service.Close()
		require.NoError(t, service.Post(func(ctx context.Context) { <-ctx.Done() }))
		synctest.Wait()

		roles := map[string]bool{}
		for _, stack := range libraryStacks() {
			named := ""
			for _, function := range stack {
				if !strings.Contains(function, ".func") {
					named = function
					break
				}
			}
			require.NotEmpty(t, named, "unknown goroutine: %v", stack)
			roles[named] = true
		}
		for _, role := range []string{
			"(*stream).run", "(*Session).writeLoop", "(*Listener).run", "(*Listener).shake",
			"(*peers).offer", "(*PacketConn).readLoop", "(*PacketConn).writeLoop",
			"(*Hub).runPump", "(*Client).run", "(*Service).loop",
		} {
			require.Contains(t, roles, role)
		}
	})
}
