// Package examples_test runs the example programs as users would: it types into
// them, reads what they print, talks to them with nc, socat and openssl, and
// presses Ctrl-C. It waits for text, never for a time.
package examples_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/internal/test/netns"
	"example.com/chanio/internal/test/programs"
)

// binaries is the directory of our programs, and built has their names.
var (
	binaries string
	built    = make(map[string]bool)
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if binaries, err = programs.Build(); err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(binaries)
	entries, err := os.ReadDir(binaries)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, e := range entries {
		built[e.Name()] = true
	}
	return m.Run()
}

// need skips a test if it needs a program that is not installed.
func need(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is missing", name)
		}
	}
}

func TestBadArgumentsAreOneClearLineAndStatus2(t *testing.T) {
	for _, test := range []struct {
		want    string // what the line says
		command string
	}{
		{`server port "http": `, "tcp_chat_server http"},
		{`server port "65536": `, "ssl_chat_server 65536"},
		{`server port "-1": `, "udp_echo_server -1"},
		{`too many arguments: `, "tcp_chat_server 1 2"},
		{`too many arguments: `, "ssl_chat_server 1 2"},
		{`too many arguments: `, "udp_echo_server 1 2"},
		{`group "127.0.0.1": `, "udp_multicast_server 127.0.0.1"},
		{`listen address "no_host!": `, "udp_multicast_client no_host!"},
		{`too many arguments: `, "service 1"},
		{`too many arguments: `, "timer 1"},
		{`too many arguments: `, "tour 1"},
		{`server address "no_host!": `, "tcp_chat_client no_host!"},
		{`server address "no_host!": `, "ssl_chat_client no_host!"},
		{`server port "0": `, "udp_echo_client 127.0.0.1 0"},
		{`too many arguments: `, "tcp_chat_client 127.0.0.1 1 2"},
		{`[server port (1111)]`, "tcp_chat_server ?"},
		{`[server port (2222)]`, "ssl_chat_server ?"},
		{`[server port (3333)]`, "udp_echo_server ?"},
	} {
		t.Run(test.command, func(t *testing.T) {
			words := strings.Fields(test.command)
			printed := start(t, words[0], words[1:]...).ends(2)
			require.Contains(t, printed, words[0]+": ")
			require.Contains(t, printed, test.want)
			require.Contains(t, printed, "usage: "+words[0])
			require.Equal(t, 1, strings.Count(printed, "\n"), printed)
		})
	}
}

func TestHelpIsTheUsageAndStatus0(t *testing.T) {
	for name := range built {
		for _, flag := range []string{"-h", "--help"} {
			printed := start(t, name, flag).ends(0)
			require.Contains(t, printed, "usage: "+name)
			require.Equal(t, 1, strings.Count(printed, "\n"), printed)
		}
	}
}

func TestArgumentsHaveDefaults(t *testing.T) {
	for name, port := range map[string]string{"tcp_chat_client": "1111", "ssl_chat_client": "2222", "udp_echo_client": "3333"} {
		t.Run(name, func(t *testing.T) {
			p := start(t, name)
			p.Hears(`^Server address: 127\.0\.0\.1$`)
			p.Hears(`^Server port: ` + port + `$`)
			p.stops()
		})
	}
}

func TestTheServiceRunsAnInnerDispatchAtOnceAndAnInnerPostLater(t *testing.T) {
	var want strings.Builder
	for i, how := range []string{"dispatched", "posted", "dispatched", "posted"} {
		fmt.Fprintf(&want, "%[1]d %[2]s by main\n%[1]d.1 dispatched by %[1]d\n%[1]d ends\n", i+1, how)
	}
	for i := range 4 {
		fmt.Fprintf(&want, "%[1]d.2 posted by %[1]d\n", i+1)
	}
	require.Equal(t, want.String(), start(t, "service").ends(0))
}

func TestTheTimerExpiresTwiceAndIsCanceled(t *testing.T) {
	require.Equal(t, "expired\nexpired\ncanceled\n", start(t, "timer").ends(0))

	p := start(t, "timer")
	p.Hears(`^expired$`)
	p.interrupts()
	p.ends(0)
}

func TestTheTourEndsByItselfFromAnyDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	p := start(t, "tour")
	p.Hears(`^TCP echo +3 +3000 +3000$`)
	p.Hears(`^TLS echo +3 +3000 +3000$`)
	p.Hears(`^UDP echo +3 +3000 +3000$`)
	p.Hears(`^hub +9 +100 +900$`)
	p.Hears(`^multicast group +3 +100 +300$`)
	p.Hears(`^timer of 1s: expired after .*s$`)
	p.ends(0)
}

func TestUDPEchoSendsEachDatagramBack(t *testing.T) {
	need(t, "socat")
	server, port := serve(t, "udp_echo_server", "0")
	ours := start(t, "udp_echo_client", "127.0.0.1", port)
	ours.Hears(`^s[0-9]+ sends to`)
	ours.says("from ours")
	ours.Hears(`^from ours$`)
	other := start(t, "socat", "-", "UDP:127.0.0.1:"+port)
	other.says("from another")
	other.Hears(`^from another$`)
	server.says("!")
	server.Hears(`^Restarted$`)
	ours.says("after the restart")
	ours.Hears(`^after the restart$`)
	ours.says("!")
	ours.Hears(` disconnected$`)
	ours.Hears(`^s[0-9]+ sends to`)
	ours.says("from another port")
	ours.Hears(`^from another port$`)
	ours.interrupts()
	ours.ends(0)
	server.interrupts()
	server.ends(0)
	other.stops()
}

// multicastNetwork moves the test to a network namespace with nothing but a
// loopback interface, which multicast uses too and on which every port is free.
func multicastNetwork(t *testing.T) {
	need(t, "ip", "socat")
	netns.Enter(t, "ip link set lo up multicast on; ip route add 224.0.0.0/4 dev lo src 127.0.0.1")
}

func TestAMulticastGroupHearsAllThatIsSentToIt(t *testing.T) {
	multicastNetwork(t)
	ours := start(t, "udp_multicast_client")
	ours.Hears(`^Joined 239\.255\.0\.1:3334$`)
	another := start(t, "udp_multicast_client", "127.0.0.1", "239.255.0.1", "3334")
	another.Hears(`^Note: lo is a loopback interface`)
	another.Hears(`^Joined `)
	other := start(t, "socat", "-d", "-d", "-", "UDP4-RECV:3334,reuseaddr,ip-add-membership=239.255.0.1:0.0.0.0")
	other.Hears(`starting data transfer loop`)
	server := start(t, "udp_multicast_server")
	server.Hears(`^Sending from `)

	server.says("news")
	ours.Hears(`: \(admin\) news$`)
	another.Hears(`: \(admin\) news$`)
	other.Hears(`\(admin\) news`)
	sender := start(t, "socat", "-", "UDP4-DATAGRAM:239.255.0.1:3334")
	sender.says("from another")
	ours.Hears(`: from another`)
	another.Hears(`: from another`)
	other.Hears(`from another`)
	sender.stops()

	server.says("!")
	server.Hears(`^Restarted$`)
	server.says("after the restart")
	ours.Hears(`: \(admin\) after the restart$`)
	ours.says("!")
	ours.Hears(`^Joined `)
	server.says("after the new start")
	ours.Hears(`: \(admin\) after the new start$`)

	ours.interrupts()
	ours.ends(0)
	another.says("")
	another.ends(0)
	server.interrupts()
	server.ends(0)
}

func TestAMulticastClientJoinsAgainAfterAFailure(t *testing.T) {
	ours := start(t, "udp_multicast_client", "192.0.2.254")
	for range 2 {
		ours.Hears(`^Failed: .*192\.0\.2\.254`)
	}
	ours.says("")
	ours.ends(0)
}
