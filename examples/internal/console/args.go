// Package console is the terminal side of the example programs: their
// arguments, the lines that are typed into them, and Ctrl-C.
package console

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// An Arg is one argument of a program.
type Arg struct {
	name  string
	value string // the default, until it is given
	check func(string) error
}

// Host returns an argument that is a host name or an IP address.
func Host(name, def string) Arg { return Arg{name, def, checkHost} }

// Port returns an argument that is a port to connect or send to.
func Port(name, def string) Arg {
	return Arg{name, def, func(s string) error { return checkPort(s, 1) }}
}

// ListenPort returns an argument that is a port to listen on; 0 lets the system
// choose.
func ListenPort(name, def string) Arg {
	return Arg{name, def, func(s string) error { return checkPort(s, 0) }}
}

// Group returns an argument that is the address of a multicast group.
func Group(name, def string) Arg { return Arg{name, def, checkGroup} }

// Args prints the value of each argument, from the command line or by default,
// and returns them. If one is invalid, it prints a one-line error and exits
// with status 2. Asked for help, it prints the usage and exits with status 0.
func Args(args ...Arg) []string {
	if len(os.Args) == 2 && slices.Contains([]string{"-h", "-help", "--help"}, os.Args[1]) {
		fmt.Println("usage:", usage(args))
		os.Exit(0)
	}
	values, err := parse(os.Args[1:], args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v; usage: %s\n", program(), err, usage(args))
		os.Exit(2)
	}
	for i, a := range args {
		fmt.Printf("%s: %s\n", a.name, values[i])
	}
	return values
}

// Exit ends the program: with status 0 if err is nil, otherwise with a one-line
// error and status 1.
func Exit(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", program(), err)
		os.Exit(1)
	}
	os.Exit(0)
}

func parse(given []string, args []Arg) ([]string, error) {
	if len(given) > len(args) {
		return nil, fmt.Errorf("too many arguments: %q", given[len(args):])
	}
	values := make([]string, len(args))
	for i, a := range args {
		values[i] = a.value
		if i >= len(given) {
			continue
		}
		if err := a.check(given[i]); err != nil {
			return nil, fmt.Errorf("%s %q: %w", strings.ToLower(a.name), given[i], err)
		}
		values[i] = given[i]
	}
	return values, nil
}

func usage(args []Arg) string {
	var b strings.Builder
	b.WriteString(program())
	for _, a := range args {
		fmt.Fprintf(&b, " [%s (%s)]", strings.ToLower(a.name), a.value)
	}
	return b.String()
}

func program() string { return strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") }

func checkPort(s string, lowest uint64) error {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n < lowest {
		return fmt.Errorf("not a number from %d to 65535", lowest)
	}
	return nil
}

func checkHost(s string) error {
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	inName := func(r rune) bool {
		return r == '.' || r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if s == "" || s[0] == '-' || strings.ContainsFunc(s, func(r rune) bool { return !inName(r) }) {
		return errors.New("neither an IP address nor a host name")
	}
	return nil
}

func checkGroup(s string) error {
	if addr, err := netip.ParseAddr(s); err != nil || !addr.IsMulticast() {
		return errors.New("not the address of a multicast group")
	}
	return nil
}
