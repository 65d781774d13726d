package chanio_test

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// A socatProcess runs socat between its standard input and output and args.
type socatProcess struct {
	io.Writer               // what socat reads
	lines     *bufio.Reader // what socat writes
}

// socat starts socat and returns when it passes data on. It ends with the test.
func socat(t *testing.T, args ...string) *socatProcess {
	t.Helper()
	path, err := exec.LookPath("socat")
	if err != nil {
		t.Skip("socat is not installed")
	}
	cmd := exec.CommandContext(t.Context(), path, append([]string{"-d", "-d"}, args...)...)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	var said strings.Builder
	for lines := bufio.NewScanner(log); ; {
		require.True(t, lines.Scan(), "socat ended: %s", &said)
		fmt.Fprintln(&said, lines.Text())
		if strings.Contains(lines.Text(), "starting data transfer loop") {
			break
		}
	}
	return &socatProcess{in, bufio.NewReader(out)}
}

func (s *socatProcess) write(t *testing.T, line string) {
	t.Helper()
	_, err := io.WriteString(s, line)
	require.NoError(t, err)
}

func (s *socatProcess) requireLine(t *testing.T, line string) {
	t.Helper()
	got, err := s.lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, line, got)
}

func TestSocatIsAnsweredByAnEndpoint(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		for _, f := range packetFamilies {
			t.Run(f.name, func(t *testing.T) {
				p := packetConn(t, f.network, f.address, nil, oneByOne)
				s := socat(t, "-", strings.ToUpper(f.network)+":"+p.LocalAddr().String())
				for _, line := range []string{"one\n", "two\n"} {
					s.write(t, line)
					m := nextPacket(t, p)
					require.Equal(t, line, string(m.Data))
					require.NoError(t, p.Put(m))
					s.requireLine(t, line)
				}
			})
		}
	})
}

func TestSocatAnswersAnEndpoint(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		for _, f := range packetFamilies {
			t.Run(f.name, func(t *testing.T) {
				p := packetConn(t, f.network, f.address, nil, oneByOne)
				at := netip.AddrPortFrom(p.LocalAddr().Addr(), freePort(t))
				socat(t, fmt.Sprintf("%s:%s,bind=%s", strings.ToUpper(f.network), p.LocalAddr(), at), "EXEC:cat")
				for _, message := range []string{"one", "two"} {
					require.NoError(t, p.Put(chanio.Packet{Addr: at, Data: []byte(message)}))
					m := nextPacket(t, p)
					require.Equal(t, message, string(m.Data))
					require.Equal(t, at, m.Addr)
				}
			})
		}
	})
}

func TestSocatSendsToAGroup(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		const group = "239.255.7.1"
		port := freePort(t)
		members := []*chanio.PacketConn{groupConn(t, "udp4", group, port, chanio.Options{}, oneByOne), groupConn(t, "udp4", group, port, chanio.Options{}, oneByOne)}
		s := socat(t, "-", fmt.Sprintf("UDP4-DATAGRAM:%s:%d,bind=127.0.0.1,ip-multicast-if=127.0.0.1", group, port))
		for _, line := range []string{"one\n", "two\n"} {
			s.write(t, line)
			for _, p := range members {
				requireNext(t, p, line)
			}
		}
	})
}

func TestSocatReceivesFromAGroup(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		const group = "239.255.7.1"
		port := freePort(t)
		// Both share the group's port.
		s := socat(t, "-u", fmt.Sprintf("UDP4-RECV:%d,bind=%s,reuseaddr,ip-add-membership=%s:127.0.0.1", port, group, group), "-")
		p := groupConn(t, "udp4", group, port, chanio.Options{}, oneByOne)
		sender := newGroupSender(t, "udp4", "127.0.0.1:0", port, oneByOne)
		for _, line := range []string{"one\n", "two\n"} {
			sender.send(group, line)
			s.requireLine(t, line)
			requireNext(t, p, line)
		}
	})
}
