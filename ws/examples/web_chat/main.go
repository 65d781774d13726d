// Web_chat is one chat room for browsers, tcp lines and tls lines: each message
// goes to everyone, with its sender's name. Run it in the folder of the module
// ws. Its arguments are the ports of the web page (8080), of tcp (1111) and of
// tls (2222). The certificates are the repository's test set. A typed line goes
// to everyone; an empty line, the end of the input or Ctrl-C stops the program.
//
//	nc localhost 1111
//	openssl s_client -quiet -CAfile ../testdata/ca.crt -connect localhost:2222
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
)

func main() {
	ports := []string{"8080", "1111", "2222"}
	if len(os.Args)-1 > len(ports) {
		fail(2, fmt.Errorf("at most %d arguments: the ports of the page, of tcp and of tls", len(ports)))
	}
	for i, arg := range os.Args[1:] {
		if n, err := strconv.ParseUint(arg, 10, 16); err != nil || n == 0 {
			fail(2, fmt.Errorf("%q is no port", arg))
		}
		ports[i] = arg
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r, err := open(ctx, addresses{page: ":" + ports[0], tcp: ":" + ports[1], tls: ":" + ports[2]}, "../testdata")
	if err != nil {
		fail(1, err)
	}
	fmt.Println("The page is at http://localhost:"+ports[0]+"; tcp is at", ports[1], "and tls at", ports[2])
	fmt.Println("Type a message for everybody, an empty line to stop.")
	lines := make(chan string)
	go readLines(os.Stdin, lines) // ends with the process: a read from a terminal cannot be interrupted
	for {
		select {
		case line := <-lines:
			if line != "" {
				r.say("(admin)", line)
				continue
			}
		case <-ctx.Done():
		}
		break
	}
	if err := r.close(); err != nil {
		fail(1, err)
	}
}

// readLines sends each line of r, however long it is, and "" at an empty one or
// at the end of the input.
func readLines(r io.Reader, lines chan<- string) {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		if line != "" {
			lines <- line
		}
		if line == "" || err != nil {
			break
		}
	}
	lines <- ""
}

func fail(status int, err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(status)
}
