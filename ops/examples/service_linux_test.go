package examples_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A service is the example of that name, as its operator started it.
type service struct {
	*program
	clients, metrics string // addresses
	pid              string
}

// startService starts the service on free ports. The addresses differ, since
// the new process of a restart finds its sockets by its flags.
func startService(t *testing.T, args ...string) *service {
	t.Helper()
	return startProgram(t, "service", args...)
}

// startProgram starts the service from that file.
func startProgram(t *testing.T, file string, args ...string) *service {
	t.Helper()
	s := &service{program: start(t, file, append([]string{"-listen", "127.0.0.1:0", "-metrics", "localhost:0"}, args...)...)}
	s.serves()
	return s
}

// serves waits until a process reports that it serves.
func (s *service) serves() {
	s.t.Helper()
	m := s.hears(`msg=serving pid=(\d+) clients=(\S+) metrics=(\S+)$`)
	s.pid, s.clients, s.metrics = m[1], m[2], m[3]
}

// scrape returns the response of /metrics.
func (s *service) scrape() string {
	s.t.Helper()
	transport := new(http.Transport) // it keeps no connection to a process that has gone
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport, Timeout: patience}).Get("http://" + s.metrics + "/metrics")
	require.NoError(s.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, answer.StatusCode)
	return string(text)
}

// greeted returns a dialer that has read the greeting.
func greeted(dial dialer) dialer {
	return func() (net.Conn, error) {
		conn, err := dial()
		if err != nil {
			return nil, err
		}
		if _, err := greeting(conn); err != nil {
			conn.Close()
			return nil, err
		}
		return conn, nil
	}
}

// greeting reads the line that tells the client its address, and no more.
func greeting(conn net.Conn) (client string, err error) {
	var line []byte
	for b := make([]byte, 1); b[0] != '\n'; line = append(line, b...) {
		if _, err := io.ReadFull(conn, b); err != nil {
			return "", err
		}
	}
	_, err = fmt.Sscanf(string(line), "you are %s\n", &client)
	return client, err
}

// dialTLS returns a dialer that trusts the CA in a file.
func dialTLS(t *testing.T, address, caFile string) dialer {
	t.Helper()
	pem, err := os.ReadFile(caFile)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(pem))
	return func() (net.Conn, error) {
		return tls.Dial("tcp", address, &tls.Config{RootCAs: pool, ServerName: "localhost"})
	}
}

func TestClientsDoNotNoticeARestartOfTheService(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	s := startService(t, "-cert", testdata(t, "server.crt"), "-key", testdata(t, "server.key"), "-pid", pidFile)
	dial := greeted(dialTLS(t, s.clients, testdata(t, "ca.crt")))
	clients := gather(t, inside, dial)
	before := *s
	s.signal(syscall.SIGHUP)
	s.serves()
	s.hears(`msg=draining pid=` + before.pid)
	require.Equal(t, []string{before.clients, before.metrics}, []string{s.clients, s.metrics})
	require.NotEqual(t, before.pid, s.pid)
	clients.leave(t)
	s.hears(`msg=drained pid=` + before.pid)
	s.exits()

	require.NoError(t, visitOnce(dial), "the new process serves alone")
	require.Contains(t, s.scrape(), `chanio_sessions{source="clients"}`)
	pid, err := os.ReadFile(pidFile)
	require.NoError(t, err)
	require.Equal(t, s.pid, string(pid))
	signalTo(t, s.pid, syscall.SIGTERM)
	s.hears(`msg=drained pid=` + s.pid)
	s.Rest()
}

// No matter what is wrong with the new program, the old process continues, and its pid
// file says so.
func TestARestartOfTheServiceThatFailsChangesNothing(t *testing.T) {
	never := struct{ name, content string }{"it is never ready", "#!/bin/sh\nexec sleep 1000\n"}
	for _, broken := range append(brokenPrograms, never) {
		t.Run(broken.name, func(t *testing.T) {
			binary, pidFile := copyOf(t, "service"), filepath.Join(t.TempDir(), "pid")
			s := startProgram(t, binary, "-pid", pidFile, "-ready", "100ms")
			clients := gather(t, 10, greeted(dialTo("tcp", s.clients)))
			replace(t, binary, broken.content)
			s.signal(syscall.SIGHUP)
			s.hears(`msg="no restart, this process goes on" pid=` + s.pid)
			pid, err := os.ReadFile(pidFile)
			require.NoError(t, err)
			require.Equal(t, s.pid, string(pid))
			clients.leave(t)
			require.Contains(t, s.scrape(), `chanio_sessions{source="clients"}`)
			s.signal(syscall.SIGTERM)
			s.hears(`msg=drained`)
			s.exits()
			s.Rest() // nothing that it started is left
		})
	}
}

func TestASecondRestartOfTheServiceWaitsForTheFirstProcessToEnd(t *testing.T) {
	s := startService(t)
	dial := greeted(dialTo("tcp", s.clients))
	clients := gather(t, 10, dial)
	old := s.pid
	s.signal(syscall.SIGHUP)
	s.serves()
	s.hears(`msg=draining pid=` + old)
	for _, pid := range []string{old, s.pid} {
		signalTo(t, pid, syscall.SIGHUP)
		s.hears(`msg="no restart, this process goes on" pid=` + pid)
	}
	clients.leave(t)
	s.hears(`msg=drained pid=` + old)
	s.exits()

	next := s.pid
	for s.pid == next { // a moment may pass before the new process sees that the old one has gone
		signalTo(t, next, syscall.SIGHUP)
		if m := s.hears(`(?:msg=serving pid=(\d+) |msg="no restart, this process goes on" )`); m[1] != "" {
			s.pid = m[1]
		}
	}
	s.hears(`msg=drained pid=` + next)
	require.NoError(t, visitOnce(dial))
	signalTo(t, s.pid, syscall.SIGTERM)
	s.hears(`msg=drained pid=` + s.pid)
	s.Rest()
}

func TestSIGTERMLetsClientsFinishAndSaysHowManyThereAre(t *testing.T) {
	s := startService(t)
	dial := greeted(dialTo("tcp", s.clients))
	clients := gather(t, inside, dial)
	clients.stopVisits(t)
	s.signal(syscall.SIGTERM)
	s.hears(fmt.Sprintf(`msg=draining pid=%s sessions=%d$`, s.pid, inside))
	require.Contains(t, s.scrape(), fmt.Sprintf("chanio_sessions{source=\"clients\"} %d\n", inside), "it can be watched until the end")
	clients.leave(t)
	s.hears(`msg=drained`)
	s.exits()
}

// Clients that stay for longer than -drain, or than the operator's patience,
// are closed with everything in flight.
func TestTheServiceClosesRemainingSessions(t *testing.T) {
	for _, test := range []struct {
		name, drain string
		signals     int
	}{{"after -drain", "10ms", 1}, {"at the second signal", "1h", 2}} {
		t.Run(test.name, func(t *testing.T) {
			s := startService(t, "-drain", test.drain)
			conn, err := greeted(dialTo("tcp", s.clients))()
			require.NoError(t, err)
			defer conn.Close()
			lines := bufio.NewReader(conn)
			require.NoError(t, exchange(conn, lines, "hello\n"))
			s.signal(syscall.SIGTERM)
			s.hears(`msg=draining`)
			if test.signals > 1 {
				s.signal(syscall.SIGTERM)
			}
			s.hears(`msg="closing those that are left".* sessions=1$`)
			_, err = lines.ReadByte()
			require.ErrorIs(t, err, io.EOF, "an end, and no reset")
			s.exits()
		})
	}
}

func TestTheServiceReadsItsCertificateAgain(t *testing.T) {
	openssl := need(t, "openssl", "openssl")
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	issue := func() {
		t.Helper()
		out, err := exec.Command(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
			"-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	issue()
	s := startService(t, "-cert", cert, "-key", key)
	first := dialTLS(t, s.clients, cert)
	require.NoError(t, visitOnce(greeted(first)))
	issue()
	require.NoError(t, visitOnce(greeted(dialTLS(t, s.clients, cert))), "the new one, which signs itself")
	require.ErrorAs(t, visitOnce(greeted(first)), new(*tls.CertificateVerificationError), "no longer the old one")
	s.signal(syscall.SIGTERM)
	s.hears(`msg=drained`)
	s.exits()
}

// TLS ends at the proxy, and the service knows its clients by their own addresses.
func TestBehindTheTLSProxyTheServiceKnowsItsClients(t *testing.T) {
	s := startService(t, "-proxies", "127.0.0.1/32")
	p := start(t, "tls_proxy", "-listen", "127.0.0.1:0", "-to", s.clients, "-cert", testdata(t, "server.crt"), "-key", testdata(t, "server.key"))
	dial := dialTLS(t, p.hears(`^Serving on (\S+)`)[1], testdata(t, "ca.crt"))
	conn, err := dial()
	require.NoError(t, err)
	client, err := greeting(conn)
	require.NoError(t, err)
	require.Equal(t, conn.LocalAddr().String(), client)
	lines := bufio.NewReader(conn)
	require.NoError(t, exchange(conn, lines, "hello\n"))
	require.NoError(t, part(conn, lines))
	require.NoError(t, conn.Close())
	s.hears(`msg="session ended" pid=\d+ client=` + client + ` received=6 `)

	clients := gather(t, 20, greeted(dial))
	clients.stopVisits(t)
	p.signal(syscall.SIGTERM) // it drains, too
	s.signal(syscall.SIGTERM)
	s.hears(`msg=draining pid=` + s.pid + ` sessions=20$`)
	clients.leave(t)
	p.exits()
	s.exits()
}

func TestTheServiceRefusesConnectionsThatAreNotFromAProxy(t *testing.T) {
	s := startService(t, "-proxies", "127.0.0.7/32,fd00::/8")
	conn, err := net.Dial("tcp", s.clients)
	if err == nil { // the reset may arrive during the dial, or before the write
		defer conn.Close()
		_, err = io.WriteString(conn, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")
	}
	if err == nil {
		_, err = greeting(conn)
	}
	require.ErrorIs(t, err, syscall.ECONNRESET)
	s.hears(`level=WARN .*its address is not in ProxyFrom`)
	s.signal(syscall.SIGTERM)
	s.exits()
}

func TestTheServiceSaysWhatIsWrongWithItsFlags(t *testing.T) {
	for name, args := range map[string][]string{
		"-proxies":         {"-proxies", "10.0.0.0"},
		"no such file":     {"-cert", "/none", "-key", "/none"},
		"missing port":     {"-listen", "127.0.0.1"},
		"address already ": {"-listen", "127.0.0.1:0", "-metrics", taken(t)},
	} {
		p := start(t, "service", args...)
		p.hears(`level=ERROR msg="service failed" .*` + name)
		require.Error(t, p.cmd.Wait())
	}
}

// taken returns an address that is in use.
func taken(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}
