package examples_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// caFile returns the path of the test CA's certificate.
func caFile(t *testing.T) string { return testdata(t, "ca.crt") }

// testdata returns the path of a file in the repository's testdata.
func testdata(t *testing.T, name string) string {
	path, err := filepath.Abs(filepath.Join("..", "testdata", name))
	require.NoError(t, err)
	return path
}

func TestTheTCPChatTalksToNetcatAndSocat(t *testing.T) {
	need(t, "nc", "socat")
	server, port := serve(t, "tcp_chat_server", "0")
	chat(t, server, port, "tcp_chat_client", start(t, "nc", "127.0.0.1", port))
	chat(t, server, port, "tcp_chat_client", start(t, "socat", "-", "TCP:localhost:"+port))
	server.stops()
}

func TestTheSSLChatTalksToOpenSSLAndSocat(t *testing.T) {
	need(t, "openssl", "socat")
	server, port := serve(t, "ssl_chat_server", "0")
	client := func(args ...string) *program {
		return start(t, "openssl", append([]string{"s_client", "-quiet", "-verify_return_error", "-CAfile", caFile(t)}, args...)...)
	}
	chat(t, server, port, "ssl_chat_client", client("-connect", "127.0.0.1:"+port, "-verify_ip", "127.0.0.1", "-tls1_2"))
	chat(t, server, port, "ssl_chat_client", client("-connect", "localhost:"+port, "-verify_hostname", "localhost", "-tls1_3"))
	chat(t, server, port, "ssl_chat_client", start(t, "socat", "-", "OPENSSL:localhost:"+port+",cafile="+caFile(t)))
	server.stops()
}

// chat makes our client and another one, which sends lines, talk through the
// server and leave it, each in its own way.
func chat(t *testing.T, server *program, port, client string, other *program) {
	t.Helper()
	other.Hears(`^Hello!.*!.*$`)
	ours := start(t, client, "127.0.0.1", port)
	ours.Hears(`^s[0-9]+ connected`)
	ours.Hears(`^Hello!.*!.*$`)
	other.says("from another")
	ours.Hears(`^from another$`)
	other.Hears(`^from another$`) // all get it
	ours.says("from ours")
	other.Hears(`from ours`) // without a line end, as it was sent
	ours.Hears(`^from ours$`)
	server.says("news")
	ours.Hears(`^\(admin\) news$`)
	other.Hears(`\(admin\) news$`)
	other.says("!")
	server.Hears(`^s[0-9]+ says: from another$`)
	server.Hears(`^s[0-9]+ says: from ours$`)
	server.Hears(`^s[0-9]+ says: !$`)
	server.Hears(` disconnected$`)
	other.stdin.Close()
	other.ends(0)
	ours.says("")
	server.Hears(` disconnected$`)
	ours.ends(0)
}

// A peer such as CppServer's client, whose text has no line end, is understood.
func TestTheChatUnderstandsTextWithoutALineEnd(t *testing.T) {
	need(t, "socat")
	server, port := serve(t, "tcp_chat_server", "0")
	other := start(t, "socat", "-", "TCP:127.0.0.1:"+port)
	other.Hears(`^Hello!.*!.*$`)
	other.types("hello")
	server.Hears(`^s[0-9]+ says: hello$`)
	other.Hears(`^hello`)
	other.types("!")
	server.Hears(`^s[0-9]+ says: !$`)
	server.Hears(` disconnected$`)
	other.stdin.Close()
	other.ends(0)
	server.stops()
}

func TestTheChatComesBackAfterARestartOfEitherEnd(t *testing.T) {
	for _, transport := range []string{"tcp", "ssl"} {
		t.Run(transport, func(t *testing.T) {
			server, port := serve(t, transport+"_chat_server", "0")
			ours := start(t, transport+"_chat_client", "localhost", port)
			ours.Hears(`^Hello!`)
			server.says("!")
			server.Hears(`^Restarted$`)
			ours.Hears(`^Hello!`)
			ours.says("!")
			ours.Hears(` disconnected$`)
			ours.Hears(`^Hello!`)
			ours.interrupts()
			ours.ends(0)

			ours = start(t, transport+"_chat_client", "localhost", port)
			ours.Hears(`^Hello!`)
			server.interrupts()
			server.ends(0)
			ours.Hears(`^Failed: .*refused`)
			ours.says("this goes nowhere")
			ours.Hears(`^Not connected$`)
			server, _ = serve(t, transport+"_chat_server", port)
			ours.Hears(`^Hello!`)
			server.says("")
			server.ends(0)
			ours.stops()
		})
	}
}

func TestTheChatClientsTalkToServersThatAreNotOurs(t *testing.T) {
	need(t, "nc", "socat", "openssl")
	for _, test := range []struct {
		name   string
		client string
		listen string // what the server prints, with its port
		server []string
	}{
		{"nc", "tcp_chat_client", `^Listening on .* ([0-9]+)$`, []string{"nc", "-lv", "127.0.0.1", "0"}},
		{"socat", "tcp_chat_client", `listening on .*:([0-9]+)$`, []string{"socat", "-d", "-d", "TCP-LISTEN:0,bind=127.0.0.1", "-"}},
		{"openssl", "ssl_chat_client", `^ACCEPT .*:([0-9]+)$`, []string{"openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept", "1",
			"-cert", testdata(t, "server.crt"), "-key", testdata(t, "server.key")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			other := start(t, test.server[0], test.server[1:]...)
			ours := start(t, test.client, "127.0.0.1", other.Hears(test.listen)[1])
			ours.Hears(`^s[0-9]+ connected`)
			ours.says("from ours")
			ours.says("and more")
			other.Hears(`from oursand more`) // without line ends
			other.types("from another")
			ours.Hears(`^from another$`)
			ours.says("")
			ours.ends(0)
			other.stdin.Close()
			other.ends(0)
		})
	}
}

func TestTheSSLChatClientTrustsOnlyTheTestCA(t *testing.T) {
	need(t, "openssl")
	dir := t.TempDir()
	out, err := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
		"-addext", "subjectAltName=DNS:localhost", "-keyout", dir+"/key", "-out", dir+"/crt").CombinedOutput()
	require.NoError(t, err, "%s", out)
	other := start(t, "openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-cert", dir+"/crt", "-key", dir+"/key")
	ours := start(t, "ssl_chat_client", "localhost", other.Hears(`^ACCEPT .*:([0-9]+)$`)[1])
	ours.Hears(`^Failed: .*certificate`)
	ours.says("")
	ours.ends(0)
	other.stdin.Close()
	other.ends(0)
}
