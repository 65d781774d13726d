package chanio_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"example.com/chanio"
)

// A frontProxy is a real proxy that can stand in front of a listener.
type frontProxy struct {
	name string
	// command returns a command that starts a proxy which listens on the
	// inherited socket of that address, number 3, and passes connections on to l.
	command func(t *testing.T, address net.Addr, l *chanio.Listener) *exec.Cmd
}

var frontProxies = []frontProxy{
	{"haproxy v1", haproxy("send-proxy")},
	{"haproxy v2", haproxy("send-proxy-v2")},
	{"haproxy v2 with TLVs", haproxy("send-proxy-v2 proxy-v2-options unique-id,crc32c")},
	{"nginx v1", nginx},
}

func haproxy(how string) func(*testing.T, net.Addr, *chanio.Listener) *exec.Cmd {
	return func(t *testing.T, _ net.Addr, l *chanio.Listener) *exec.Cmd {
		binary := needProgram(t, "haproxy", "haproxy")
		config := filepath.Join(t.TempDir(), "haproxy.cfg")
		require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
defaults
  mode tcp
  timeout connect 60s
  timeout client 60s
  timeout server 60s
  timeout check 60s
frontend front
  bind fd@3
  unique-id-format %%pid-%%rt
  default_backend back
backend back
  server one %s %s
`, l.Addr(), how), 0o600))
		return exec.Command(binary, "-db", "-f", config)
	}
}

const nginxStream = "/usr/lib/nginx/modules/ngx_stream_module.so"

func nginx(t *testing.T, address net.Addr, l *chanio.Listener) *exec.Cmd {
	binary := needProgram(t, "nginx", "nginx-light")
	if _, err := os.Stat(nginxStream); err != nil {
		t.Skipf("nginx' stream module is missing: it is in Debian's package libnginx-mod-stream")
	}
	me, err := user.Current() // the user that may connect to the test's unix sockets
	require.NoError(t, err)
	dir := t.TempDir()
	to := l.Addr().String()
	if l.Addr().Network() == "unix" {
		to = "unix:" + to
	}
	config := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
load_module %s;
user %s;
daemon off;
pid %s/pid;
error_log stderr;
events {}
stream { server { listen %v; proxy_pass %s; proxy_protocol on; proxy_half_close on; } }
`, nginxStream, me.Username, dir, address, to), 0o600))
	cmd := exec.Command(binary, "-e", "stderr", "-p", dir, "-c", config)
	cmd.Env = append(os.Environ(), "NGINX=3;") // as an nginx that hands over to a new one says
	return cmd
}

// needProgram returns the path of a program, and skips the test if it is
// missing.
func needProgram(t testing.TB, name, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is missing: it is in Debian's package %s", name, debianPackage)
	}
	return path
}

// start starts the proxy in front of l, and returns its address.
func (p *frontProxy) start(t *testing.T, l *chanio.Listener) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // so that no other process takes the port, and it listens at once
	require.NoError(t, err)
	defer ln.Close()
	cmd := p.command(t, ln.Addr(), l)
	socket, err := ln.(*net.TCPListener).File()
	require.NoError(t, err)
	defer socket.Close()
	cmd.ExtraFiles = []*os.File{socket}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // it was told to end
		if t.Failed() {
			t.Logf("%v: %s", cmd.Args, &said)
		}
	})
	return ln.Addr().String()
}

func TestSessionsBehindARealProxyHaveTheirClientsAddresses(t *testing.T) {
	server, client := testTLS(t)
	client.ServerName = "localhost"
	for _, proxy := range frontProxies {
		for _, behind := range []struct {
			name, network string
			tls           bool
		}{{"tcp", "tcp", false}, {"unix", "unix", false}, {"TLS", "tcp", true}, {"TLS over unix", "unix", true}} {
			t.Run(proxy.name+"/"+behind.name, func(t *testing.T) {
				o := &chanio.Options{ProxyProtocol: true, ProxyFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
				if behind.tls {
					o.TLS = server
				}
				l := listenOn(t, t.Context(), behind.network, anyAddress(t, behind.network), o)
				serveEach(l, func(s *chanio.Session) {
					fmt.Fprintf(s, "%v %v\n", s.RemoteAddr(), s.LocalAddr())
					sendBack(s)
				})
				front := proxy.start(t, l)
				var clients errgroup.Group
				for range 20 {
					clients.Go(func() error {
						conn, err := net.Dial("tcp", front)
						if err != nil {
							return err
						}
						defer conn.Close()
						want := fmt.Sprintf("%v %v\n", conn.LocalAddr(), conn.RemoteAddr())
						if behind.tls {
							conn = tls.Client(conn, client)
						}
						return requireWhole(conn, want)
					})
				}
				require.NoError(t, clients.Wait())
				require.EqualValues(t, 20, l.Stats().Accepted)
			})
		}
	}
}

// requireWhole requires a greeting from an echo server, and then everything
// that it sends.
func requireWhole(conn net.Conn, greeting string) error {
	conn.SetDeadline(time.Now().Add(patience))
	sent := bytes.Repeat([]byte("0123456789abcdef"), 8<<10)
	var writer errgroup.Group
	writer.Go(func() error {
		if _, err := conn.Write(sent); err != nil {
			return err
		}
		return conn.(halfCloser).CloseWrite()
	})
	got, err := io.ReadAll(conn)
	if err := writer.Wait(); err != nil {
		return err
	}
	if want := append([]byte(greeting), sent...); err == nil && !bytes.Equal(want, got) {
		return fmt.Errorf("got %d bytes, want %d: %.100q", len(got), len(want), got)
	}
	return err
}

// The connections that a proxy makes on its own, to check that a server lives,
// are ordinary sessions with the proxy's own address (LOCAL), and hold up no
// other.
func TestARealProxysHealthChecksAreItsOwn(t *testing.T) {
	l := listenTCP(t, &chanio.Options{ProxyProtocol: true})
	proxy := frontProxy{"haproxy", haproxy("send-proxy-v2 check inter 10ms fall 1000\n  option tcp-check\n  tcp-check connect send-proxy\n  tcp-check send ping\n  tcp-check expect string ping")}
	front := proxy.start(t, l)
	checked := make(chan net.Addr, 1)
	served := make(chan net.Addr, 1)
	serveEach(l, func(s *chanio.Session) {
		defer s.Close()
		for m := range s.Recv() {
			to := served
			if string(m) == "ping" {
				to = checked
			}
			select {
			case to <- s.RemoteAddr():
			default:
			}
			s.Put(m)
		}
	})
	from, _ := await(t, checked, "a health check")
	require.Equal(t, netip.MustParseAddr("127.0.0.1"), chanio.HostOf(from))
	conn, err := net.Dial("tcp", front)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	requireAnswer(t, conn, "hello")
	from, _ = await(t, served, "a client")
	require.Equal(t, conn.LocalAddr().String(), from.String())
}
