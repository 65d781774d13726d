package console

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestArgumentsAreDefaultsUnlessGiven(t *testing.T) {
	args := []Arg{Host("Server address", "127.0.0.1"), Port("Server port", "1111")}
	for _, c := range []struct {
		name  string
		given []string
		want  []string
	}{
		{"none given", nil, []string{"127.0.0.1", "1111"}},
		{"first given", []string{"example.com"}, []string{"example.com", "1111"}},
		{"all given", []string{"::1", "65535"}, []string{"::1", "65535"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parse(c.given, args)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestBadArgumentsAreNamed(t *testing.T) {
	for _, c := range []struct {
		name  string
		arg   Arg
		given []string
		want  string
	}{
		{"not a number", Port("Server port", "1111"), []string{"http"}, `server port "http": not a number from 1 to 65535`},
		{"nowhere to connect to", Port("Server port", "1111"), []string{"0"}, `server port "0": not a number from 1 to 65535`},
		{"too large", ListenPort("Port", "1111"), []string{"65536"}, `port "65536": not a number from 0 to 65535`},
		{"negative", ListenPort("Port", "1111"), []string{"-1"}, `port "-1": not a number from 0 to 65535`},
		{"empty", Host("Host", "localhost"), []string{""}, `host "": neither an IP address nor a host name`},
		{"a flag", Host("Host", "localhost"), []string{"-h"}, `host "-h": neither an IP address nor a host name`},
		{"an address and a port", Host("Host", "localhost"), []string{"a:1"}, `host "a:1": neither an IP address nor a host name`},
		{"no group", Group("Group", "239.255.0.1"), []string{"127.0.0.1"}, `group "127.0.0.1": not the address of a multicast group`},
		{"too many", ListenPort("Port", "0"), []string{"1", "2", "3"}, `too many arguments: ["2" "3"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parse(c.given, []Arg{c.arg})
			require.EqualError(t, err, c.want)
		})
	}
}

func TestLinesEnd(t *testing.T) {
	long := strings.Repeat("long", 1<<15)
	for _, c := range []struct {
		name  string
		typed string
		want  []string
	}{
		{"at an empty line", "one\n!\n\nnever\n", []string{"one", "!"}},
		{"at an empty line of Windows", "one\r\n\r\nnever\r\n", []string{"one"}},
		{"at the end of the input", "one\ntwo", []string{"one", "two"}},
		{"at no line because it is long", long + "\n!\n", []string{long, "!"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			typed, lines := make(chan string, 8), make(chan string, 8)
			scan(strings.NewReader(c.typed), typed)
			relay(typed, nil, lines)
			close(lines)
			var got []string
			for line := range lines {
				got = append(got, line)
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestCtrlCEndsLines(t *testing.T) {
	interrupt := make(chan os.Signal, 1)
	interrupt <- os.Interrupt
	relay(nil, interrupt, nil)

	// The reader is gone: a line that is never taken holds up nothing.
	typed := make(chan string, 1)
	typed <- "one"
	interrupt <- os.Interrupt
	relay(typed, interrupt, nil)
}
